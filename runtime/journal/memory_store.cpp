#include "runtime/journal/memory_store.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <mutex>
#include <unordered_map>

#include "messages/ulid.hpp"
#include "runtime/journal/append_plan.hpp"

namespace horizons::journal {

namespace {

using job_name = std::pair<std::string_view, std::string_view>;  // tenant, job

struct job_name_hash {
  using is_transparent = void;
  std::size_t operator()(const auto& name) const {
    const std::hash<std::string_view> hash;
    return hash(name.first) * 31 + hash(name.second);
  }
};
struct job_name_equal {
  using is_transparent = void;
  bool operator()(const auto& a, const auto& b) const { return a.second == b.second && a.first == b.first; }
};

/// Positions of its events, and the claim on its name.
struct job_entry {
  std::vector<std::uint64_t> positions;
  std::uint64_t sequence_max = 0;  // no event has a greater sequence
  struct claim {
    std::string user_id, idempotency_key, digest;
  };
  std::optional<claim> claimed;
};

}  // namespace

/// The tables of one journal. Positions are places in `events` plus one. Changes not yet synced can be undone.
/// What grows is in small parts: making one large table larger would hold a commit back for as long as that takes.
class memory_data {
public:
  std::mutex mutex;
  std::string id;
  std::optional<owner_info> owner;
  std::uint64_t incarnation = 0;  // raised by open and crash: an old store is a stranger
  std::uint64_t commits = 0;
  bool torn = false;
  memory_faults faults;

  std::deque<std::shared_ptr<const event>> events;                                  // of the batches they came with
  std::size_t synced = 0;                                                           // events readers may see
  std::array<std::unordered_map<ulid_bytes, std::uint64_t, ulid_hash>, 256> by_id;  // by the last byte
  std::array<std::unordered_map<job_key, job_entry, job_name_hash, job_name_equal>, shard_count> jobs;
  std::map<std::tuple<std::string, std::string, std::string>, std::string> keys;  // tenant, user, key -> job
  std::map<std::string, source_progress, std::less<>> sources;
  std::array<std::uint64_t, shard_count> epochs{};

  /// As far as a change can be undone to.
  struct mark {
    std::size_t events = 0, claims = 0, sources = 0;
  };
  mark here() const { return {events.size(), new_claims.size(), old_sources.size()}; }

  void undo_to(mark m) {
    for (; events.size() > m.events; events.pop_back()) {
      const event& last = *events.back();
      const auto id_bytes = bytes_of_ulid(last.event_id);
      by_id[id_bytes.back()].erase(id_bytes);
      if (last.job_id.empty()) continue;
      find(last.tenant, last.job_id)->positions.pop_back();
      forget_if_empty({last.tenant, last.job_id});
    }
    for (; new_claims.size() > m.claims; new_claims.pop_back()) {
      const auto& name = new_claims.back();
      auto& claimed = find(name.first, name.second)->claimed;
      if (!claimed->idempotency_key.empty()) keys.erase({name.first, claimed->user_id, claimed->idempotency_key});
      claimed.reset();
      forget_if_empty(name);
    }
    for (; old_sources.size() > m.sources; old_sources.pop_back()) {
      auto& [name, old] = old_sources.back();
      if (old)
        sources.insert_or_assign(name, *old);
      else
        sources.erase(name);
    }
  }

  void commit() {
    new_claims.clear();
    old_sources.clear();
    synced = events.size();
  }

  /// The job of that event, made when it is new; null: it has none. `near`: the event before it in its batch.
  job_entry* job_of(const event& e, const event* near, job_entry* job_of_near) {
    if (e.job_id.empty()) return nullptr;
    if (job_of_near && near->job_id == e.job_id && near->tenant == e.tenant) return job_of_near;
    if (auto* known = find(e.tenant, e.job_id)) return known;
    return &jobs[shard_of(e.tenant, e.job_id)][{e.tenant, e.job_id}];
  }

  const job_entry* find(std::string_view tenant, std::string_view job_id) const {
    const auto& part = jobs[shard_of(tenant, job_id)];
    const auto at = part.find(job_name{tenant, job_id});
    return at == part.end() ? nullptr : &at->second;
  }
  job_entry* find(std::string_view tenant, std::string_view job_id) {
    return const_cast<job_entry*>(std::as_const(*this).find(tenant, job_id));
  }

  /// An event of `b`, and of `job` when it has one.
  void put(const batch_ptr& b, event& e, const ulid_bytes& id_bytes, job_entry* job) {
    const std::uint64_t position = events.size() + 1;
    e.position = position;
    events.emplace_back(b, &e);
    by_id[id_bytes.back()].emplace(id_bytes, position);
    if (!job) return;
    if (job->positions.empty()) job->positions.reserve(usual_events);
    job->positions.push_back(position);
    job->sequence_max = std::max(job->sequence_max, e.sequence);
  }

  bool has_sequence(const event& e, const job_entry* job) const {
    if (e.sequence == 0 || !job || e.sequence > job->sequence_max) return false;
    for (auto p = job->positions.rbegin(); p != job->positions.rend(); ++p)  // newest first: a job's sequence grows
      if (events[*p - 1]->sequence == e.sequence) return true;
    return false;
  }

  /// The standing claim in the way of `c`, or none; `same`: this very claim stands.
  std::optional<claimed_by> standing(const identity_claim& c, bool& same) const {
    same = false;
    if (const auto* job = find(c.tenant, c.job_id); job && job->claimed) {
      const auto& old = *job->claimed;
      same = old.digest == c.digest && old.user_id == c.user_id && old.idempotency_key == c.idempotency_key;
      return claimed_by{c.job_id, old.digest};
    }
    return by_key(c.tenant, c.user_id, c.idempotency_key);
  }

  std::optional<claimed_by> by_key(std::string_view tenant, std::string_view user, std::string_view key) const {
    if (key.empty()) return {};
    const auto at = keys.find({std::string(tenant), std::string(user), std::string(key)});
    if (at == keys.end()) return {};
    return claimed_by{at->second, find(tenant, at->second)->claimed->digest};
  }

  void put_claim(const identity_claim& c) {
    jobs[shard_of(c.tenant, c.job_id)][{c.tenant, c.job_id}].claimed = {c.user_id, c.idempotency_key, c.digest};
    if (!c.idempotency_key.empty()) keys.emplace(std::tuple{c.tenant, c.user_id, c.idempotency_key}, c.job_id);
    new_claims.emplace_back(c.tenant, c.job_id);
  }

  std::optional<source_progress> source(const std::string& name) const {
    const auto at = sources.find(name);
    return at == sources.end() ? std::nullopt : std::optional(at->second);
  }

  void put_source(const std::string& name, const source_progress& progress) {
    old_sources.emplace_back(name, source(name));
    sources.insert_or_assign(name, progress);
  }

  result<append_outcome> append_one(const batch_ptr& shared, source_changes& moved) {
    batch& b = *shared;
    if (auto ok = admit(b); !ok) return failure(std::move(ok.error()));
    if (!marks_alone(b) && b.epoch < epochs[b.shard]) return failure(fenced_error(b.shard, b.epoch, epochs[b.shard]));
    if (auto ok = moved.check(b.marks).value(); !ok) return failure(std::move(ok.error()));
    const auto before = here();
    const auto refuse = [&](result<append_outcome> answer) {
      undo_to(before);
      return answer;
    };
    std::optional<claimed_by> repeated;  // see the SQLite store: a repeat brings no new event
    for (const identity_claim& c : b.claims) {
      bool same = false;
      auto in_the_way = standing(c, same);
      if (same)
        repeated = std::move(in_the_way);
      else if (in_the_way)
        return refuse(append_outcome{{}, std::move(in_the_way)});
      else
        put_claim(c);
    }
    append_outcome outcome;
    outcome.positions.reserve(b.events.size());
    const event* before_it = nullptr;
    job_entry* job = nullptr;
    for (event& e : b.events) {
      const auto id_bytes = bytes_of_ulid(e.event_id);
      const auto& ids = by_id[id_bytes.back()];
      if (auto at = ids.find(id_bytes); at != ids.end()) {
        outcome.positions.push_back(at->second);
        continue;
      }
      if (repeated) return refuse(append_outcome{{}, std::move(repeated)});
      job = job_of(e, std::exchange(before_it, &e), job);
      if (has_sequence(e, job)) return refuse(failure(sequence_error(e)));
      put(shared, e, id_bytes, job);
      outcome.positions.push_back(events.size());
    }
    if (auto ok = moved.apply(b.marks); !ok) return refuse(failure(std::move(ok.error())));
    if (!b.texts.empty()) b.texts = {};  // they would stay as long as its events
    return outcome;
  }

private:
  static constexpr std::size_t usual_events = 4;  // of a job: submitted, queued, running, completed

  void forget_if_empty(const job_key& name) {
    auto& part = jobs[shard_of(name.first, name.second)];
    const auto at = part.find(name);
    if (at != part.end() && at->second.positions.empty() && !at->second.claimed) part.erase(at);
  }

  std::vector<job_key> new_claims;                                                  // since the last sync
  std::vector<std::pair<std::string, std::optional<source_progress>>> old_sources;  // as they were
};

namespace {

std::shared_ptr<memory_data> named(const std::string& name) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<memory_data>> all;
  const std::lock_guard lock(mutex);
  std::erase_if(all, [](const auto& entry) { return entry.second.expired(); });
  auto data = all[name].lock();
  if (!data) {
    data = std::make_shared<memory_data>();
    data->id = make_ulid(std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()));
    all[name] = data;
  }
  return data;
}

class memory_store final : public store {
public:
  memory_store(std::shared_ptr<memory_data> data, std::uint64_t incarnation)
      : data_(std::move(data)), incarnation_(incarnation) {}
  ~memory_store() override {
    const std::lock_guard lock(data_->mutex);
    if (writes() && data_->incarnation == incarnation_) data_->owner.reset();
  }

  const std::string& id() const override { return data_->id; }

  result<std::vector<result<append_outcome>>> append(std::span<const batch_ptr> batches) override {
    if (batches.size() > append_batches_max)
      return failure(error_code::limit_exceeded, "an append of " + std::to_string(batches.size()) +
                                                     " batches; at most " + std::to_string(append_batches_max));
    std::unique_lock lock(data_->mutex);
    if (auto ok = may_write(); !ok) return failure(std::move(ok.error()));
    if (batches.empty()) return std::vector<result<append_outcome>>();
    memory_data& d = *data_;
    const auto fault = d.faults.at_commit ? d.faults.at_commit(++d.commits) : memory_fault::none;
    if (fault == memory_fault::disk_full) return failure(error_code::disk_full, "journal in memory: no space left");
    if (fault == memory_fault::io) return failure(error_code::io, "journal in memory: writing failed");
    std::vector<result<append_outcome>> outcomes;
    outcomes.reserve(batches.size());
    source_changes moved(
        [&](const std::string& name) { return result<std::optional<source_progress>>(d.source(name)); });
    for (const auto& b : batches) outcomes.push_back(d.append_one(b, moved));
    for (const auto& [name, progress] : moved.changed()) d.put_source(*name, *progress);
    if (fault == memory_fault::torn_write) {
      d.torn = true;
      return failure(error_code::timed_out, "journal in memory: the outcome of the append is unknown: torn write");
    }
    if (auto wait = d.faults.before_sync) {
      lock.unlock();  // the hook may crash the journal or let others read
      wait();
      lock.lock();
      if (auto ok = may_write(); !ok) return failure(error_code::timed_out, ok.error().text);
    }
    d.commit();
    if (fault == memory_fault::answer_lost)
      return failure(error_code::timed_out, "journal in memory: the outcome of the append is unknown: no answer");
    return outcomes;
  }

  result<std::uint64_t> raise_epochs(std::span<const std::uint32_t> shards) override {
    const std::lock_guard lock(data_->mutex);
    if (auto ok = may_write(); !ok) return failure(std::move(ok.error()));
    std::uint64_t epoch = 0;
    for (const auto shard : shards) {
      if (shard >= shard_count)
        return failure(error_code::invalid_argument, "shard " + std::to_string(shard) + " does not exist");
      epoch = std::max(epoch, data_->epochs[shard]);
    }
    for (const auto shard : shards) data_->epochs[shard] = epoch + 1;
    return epoch + 1;
  }

  result<std::vector<event>> read(const event_filter& filter, std::size_t limit) override {
    if (auto ok = admit(filter, limit); !ok) return failure(std::move(ok.error()));
    const std::lock_guard lock(data_->mutex);
    if (auto ok = may_read(); !ok) return failure(std::move(ok.error()));
    const memory_data& d = *data_;
    const std::uint64_t end = std::min<std::uint64_t>(d.synced + 1, filter.before_position.value_or(d.synced + 1));
    std::vector<event> found;
    const auto take = [&](std::uint64_t position) {
      if (const event& e = *d.events[position - 1]; matches(e, filter)) found.push_back(e);
      return found.size() < limit;
    };
    if (!filter.job_id.empty() && !filter.tenant.empty()) {
      const auto* job = d.find(filter.tenant, filter.job_id);
      if (!job) return found;
      for (auto p = std::ranges::upper_bound(job->positions, filter.after_position);
           p != job->positions.end() && *p < end; ++p)
        if (!take(*p)) break;
      return found;
    }
    if (filter.after_position >= d.synced) return found;
    for (auto position = filter.after_position + 1; position < end; ++position)
      if (!take(position)) break;
    return found;
  }

  result<std::uint64_t> last_position() override {
    const std::lock_guard lock(data_->mutex);
    if (auto ok = may_read(); !ok) return failure(std::move(ok.error()));
    return data_->synced;
  }

  result<claimed_source> claim_source(std::string_view source) override {
    if (auto ok = admit_source(source); !ok) return failure(std::move(ok.error()));
    const std::lock_guard lock(data_->mutex);
    if (auto ok = may_write(); !ok) return failure(std::move(ok.error()));
    const std::string name(source);
    auto taken = claimed(data_->source(name));
    data_->sources.insert_or_assign(name, taken.progress);
    return taken;
  }

  result<std::map<std::string, source_progress>> read_sources(std::string_view prefix) override {
    const std::lock_guard lock(data_->mutex);
    if (auto ok = may_read(); !ok) return failure(std::move(ok.error()));
    std::map<std::string, source_progress> found;
    for (auto at = data_->sources.lower_bound(prefix); at != data_->sources.end() && at->first.starts_with(prefix);
         ++at) {
      if (found.size() == sources_max) return failure(too_many_sources(prefix));
      found.emplace_hint(found.end(), at->first, at->second);
    }
    return found;
  }

  result<std::uint64_t> size_bytes() override { return 0; }

  /// Nothing is moved: what is in memory ends with the process.
  result<archived> archive(timestamp, std::uint64_t) override { return archived{}; }

  /// Without a hash.
  result<chain_head> head() override {
    const std::lock_guard lock(data_->mutex);
    if (auto ok = may_read(); !ok) return failure(std::move(ok.error()));
    return chain_head{data_->synced, data_->synced, {}};
  }

  result<std::optional<claimed_by>> find_claim(std::string_view tenant, std::string_view user_id,
                                               std::string_view key) override {
    const std::lock_guard lock(data_->mutex);
    if (auto ok = may_read(); !ok) return failure(std::move(ok.error()));
    return data_->by_key(tenant, user_id, key);
  }

  /// Positions must be gapless; there is no chain in memory.
  result<std::uint64_t> verify(const std::function<bool(std::uint64_t)>& go_on) override {
    const std::lock_guard lock(data_->mutex);
    if (auto ok = may_read(); !ok) return failure(std::move(ok.error()));
    for (std::size_t i = 0; i < data_->synced; ++i) {
      if (data_->events[i]->position != i + 1)
        return failure(error_code::unreadable, "journal: position " + std::to_string(i + 1) + " was changed");
      if (i % 1000 == 999 && go_on && !go_on(i + 1))
        return failure(error_code::cancelled, "stopped after " + std::to_string(i + 1) + " events");
    }
    return data_->synced;
  }

private:
  bool writes() const { return incarnation_ != 0; }
  result<void> may_read() const {
    if (writes()) return may_write();
    return {};
  }
  result<void> may_write() const {
    if (!writes()) return failure(error_code::internal, "this view of the journal is for reading only");
    if (data_->incarnation != incarnation_)
      return failure(error_code::unavailable, "journal in memory: lost in a crash; open it again");
    if (data_->torn) return failure(error_code::unavailable, "journal in memory: its power is off");
    return {};
  }

  std::shared_ptr<memory_data> data_;
  std::uint64_t incarnation_;  // 0: a reader
};

}  // namespace

memory_journal::memory_journal(const std::string& name) : data_(named(name)) {}

void memory_journal::set_faults(memory_faults faults) {
  const std::lock_guard lock(data_->mutex);
  data_->faults = std::move(faults);
}

void memory_journal::crash() {
  const std::lock_guard lock(data_->mutex);
  data_->undo_to({.events = data_->synced});
  data_->torn = false;
  data_->owner.reset();
  ++data_->incarnation;
}

result<std::unique_ptr<store>> open_memory_store(const std::string& name, const owner_info& me) {
  auto data = named(name);
  const std::lock_guard lock(data->mutex);
  if (data->owner) return failure(in_use_error(*data->owner));
  data->owner = me;
  return std::make_unique<memory_store>(data, ++data->incarnation);
}

result<std::unique_ptr<store>> open_memory_reader(const std::string& name) {
  return std::make_unique<memory_store>(named(name), 0);
}

}  // namespace horizons::journal
