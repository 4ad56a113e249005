#include "runtime/journal/postgres_writer.hpp"

#include <algorithm>
#include <chrono>
#include <set>

#include "messages/fnv1a64.hpp"
#include "messages/text.hpp"
#include "messages/ulid.hpp"
#include "runtime/journal/postgres_array.hpp"
#include "runtime/journal/postgres_schema.hpp"

namespace horizons::journal {

namespace {

using postgres::array;
using postgres::element;

/// One journal of a database is one lock: its schema's name as 64 bits.
std::int64_t lock_key(const std::string& schema) {
  return static_cast<std::int64_t>(fnv1a64("horizons journal " + schema));
}

// An append looks for its few claims by index, however many there are. The plan is made once, often while the tables
// are still empty: the planner would then read them from end to end, at every append, until they are analysed.
// A large append's columns of some MiB are unpacked in memory, not in temporary files.
constexpr const char* writer_settings =
    "set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; set enable_bitmapscan = off; "
    "set work_mem = '32MB'";

/// The claims of an append, by column.
struct claim_columns {
  array tenants{element::text}, jobs{element::text}, users{element::text}, keys{element::text}, digests{element::text};

  void add(const identity_claim& c) {
    tenants.add(c.tenant);
    jobs.add(c.job_id);
    users.add(c.user_id);
    keys.add(c.idempotency_key);
    digests.add(c.digest);
  }
};

/// Calls f with each event or claim of the batches that look right; the others are refused without being stored.
template <class Part, class F>
void each(std::span<const batch_ptr> batches, std::vector<Part> batch::*parts, F f) {
  for (const auto& b : batches)
    if (const auto& of = (*b).*parts; !of.empty() && admit(*b))
      for (const Part& part : of) f(part);
}

}  // namespace

result<std::unique_ptr<postgres_writer>> postgres_writer::open(const postgres::address& at, const owner_info& me) {
  auto db = postgres::connection::open(at);
  if (!db) return failure(std::move(db.error()));
  if (auto ok = (*db)->run(writer_settings); !ok) return failure(std::move(ok.error()));
  std::unique_ptr<postgres_writer> writer(new postgres_writer(std::move(*db)));
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  auto ok = writer->take_lock(at);
  if (ok) ok = postgres::migrate(*writer->db_, at, make_ulid(now));
  if (ok)
    if (auto told = writer->db_->ask("insert into owner(node, host, since) values($1::text, $2::text, $3::bigint) on "
                                     "conflict (one) do update set node = excluded.node, host = excluded.host, "
                                     "since = excluded.since",
                                     me.node, me.host, me.since.time_since_epoch().count());
        !told)
      ok = failure(std::move(told.error()));
  if (ok) ok = writer->load();
  if (!ok) return failure(std::move(ok.error()));
  return writer;
}

/// The lock is the session's: it goes with the connection. A moment's patience, because the server may still be about
/// to see that a killed owner is gone.
result<void> postgres_writer::take_lock(const postgres::address& at) {
  const std::string key = std::to_string(lock_key(at.schema));
  auto taken = db_->run("begin; set local lock_timeout = 1000; select pg_advisory_lock(" + key + "); commit");
  if (taken) return {};
  if (db_->sqlstate() != "55P03") return failure(std::move(taken.error()));
  owner_info owner;
  if (auto row = db_->run("rollback; select node, host, since from owner"); row && !row->empty()) {
    owner.node = (*row)[0][0].as<std::string>();
    owner.host = (*row)[0][1].as<std::string>();
    owner.since = timestamp(std::chrono::milliseconds((*row)[0][2].as<std::int64_t>()));
  }
  return failure(in_use_error(owner));
}

result<void> postgres_writer::load() {
  // Fence before epochs: one raised in between makes the fence an old one, which an append notices.
  auto found =
      db_->ask("select fence, (select coalesce(max(position), 0) from events), lowest, highest from chain_head");
  if (!found) return failure(std::move(found.error()));
  auto head = view_.head();
  if (!head) return failure(std::move(head.error()));
  auto epochs = db_->ask("select shard, epoch from shard_epochs where shard between 0 and 255");
  if (!epochs) return failure(std::move(epochs.error()));
  if ((*found)[0][1].as<std::uint64_t>() != head->position)  // going on would hide what was cut off or put in
    return failure(error_code::unreadable, "journal: ends at position " + (*found)[0][1].as<std::string>() +
                                               ", but its head says " + std::to_string(head->position) +
                                               ": it was changed from outside; restore it from a copy");
  head_ = *head;
  base_ = {head->position, (*found)[0][0].as<std::int64_t>(), {}};
  if (!(*found)[0][2].is_null()) base_.times = {(*found)[0][2].as<std::int64_t>(), (*found)[0][3].as<std::int64_t>()};
  for (const auto& row : *epochs) epochs_[row[0].as<std::size_t>()] = row[1].as<std::uint64_t>();
  return {};
}

result<std::vector<result<append_outcome>>> postgres_writer::append(std::span<const batch_ptr> batches) {
  if (auto ok = fetch_sources(batches); !ok) return failure(std::move(ok.error()));
  source_changes moved = changes();
  auto p = plan_append(batches, {}, epochs_, head_, moved, hasher_);
  if (!p) return failure(std::move(p.error()));
  if (p->writes_nothing(moved)) return std::move(p->outcomes);
  auto next = postgres::store_append(*db_, base_, *p, moved);
  if (!next) return failure(unknown_if_lost(std::move(next.error())));
  if (*next) return kept(std::move(*p), moved, **next);

  if (auto ok = db_->run("begin"); !ok) return failure(std::move(ok.error()));
  auto outcomes = append_decided_again(batches);
  if (!outcomes && !db_->lost()) (void)db_->run("rollback");
  return outcomes;
}

result<std::vector<result<append_outcome>>> postgres_writer::append_decided_again(std::span<const batch_ptr> batches) {
  if (auto locked = db_->run("select from chain_head for update"); !locked) return failure(std::move(locked.error()));
  sources_.clear();
  if (auto ok = load(); !ok) return failure(std::move(ok.error()));
  if (auto ok = fetch_sources(batches); !ok) return failure(std::move(ok.error()));
  auto facts = facts_of(batches);
  if (!facts) return failure(std::move(facts.error()));
  source_changes moved = changes();
  auto p = plan_append(batches, std::move(*facts), epochs_, head_, moved, hasher_);
  if (!p) return failure(std::move(p.error()));
  auto next = base_;
  if (!p->writes_nothing(moved)) {
    auto stored = postgres::store_append(*db_, base_, *p, moved);
    if (!stored) return failure(std::move(stored.error()));
    if (!*stored) return failure(error_code::internal, "journal: an append did not fit what was read under its lock");
    next = **stored;
  }
  if (auto ok = db_->run("commit"); !ok) return failure(unknown_if_lost(std::move(ok.error())));
  return kept(std::move(*p), moved, next);
}

error postgres_writer::unknown_if_lost(error why) const {
  if (!db_->lost()) return why;
  return {error_code::timed_out, "the outcome of the append is unknown: " + why.text};
}

source_changes postgres_writer::changes() {
  return source_changes([this](const std::string& source) -> result<std::optional<source_progress>> {
    const auto at = sources_.find(source);
    return at == sources_.end() ? std::nullopt : std::optional(at->second);
  });
}

result<void> postgres_writer::fetch_sources(std::span<const batch_ptr> batches) {
  if (sources_.size() > sources_max) sources_.clear();
  std::set<std::string> missing;
  for (const auto& b : batches)
    for (const source_mark& m : b->marks)
      if (!sources_.contains(m.source) && admit_source(m.source)) missing.insert(m.source);
  if (missing.empty()) return {};
  auto found = view_.read_these({missing.begin(), missing.end()});
  if (!found) return failure(std::move(found.error()));
  sources_.merge(std::move(*found));
  return {};
}

result<stored_facts> postgres_writer::facts_of(std::span<const batch_ptr> batches) {
  stored_facts facts;
  std::vector<const event*> events, placed;
  array ids(element::uuid), tenants(element::text), jobs(element::text), sequences(element::int8);
  each(batches, &batch::events, [&](const event& e) {
    events.push_back(&e);
    ids.add(bytes_of_ulid(e.event_id));
    if (e.sequence == 0) return;
    placed.push_back(&e);
    tenants.add(e.tenant);
    jobs.add(e.job_id);
    sequences.add(static_cast<std::int64_t>(e.sequence), 8);
  });
  if (!events.empty()) {
    auto rows = db_->ask(
        "select n.place, e.position from unnest($1::uuid[]) with ordinality n(id, place) join events e on e.event_id = "
        "n.id",
        ids.parameter());
    if (!rows) return failure(std::move(rows.error()));
    for (const auto& row : *rows)
      facts.events.emplace(bytes_of_ulid(events[row[0].as<std::size_t>() - 1]->event_id), row[1].as<std::uint64_t>());
  }
  if (!placed.empty()) {
    auto rows = db_->ask(
        "select n.place from unnest($1::text[], $2::text[], $3::bigint[]) with ordinality n(tenant, job_id, sequence, "
        "place) join events e using (job_id, tenant, sequence)",
        tenants.parameter(), jobs.parameter(), sequences.parameter());
    if (!rows) return failure(std::move(rows.error()));
    for (const auto& row : *rows) {
      const event& e = *placed[row[0].as<std::size_t>() - 1];
      facts.places.insert({e.tenant, e.job_id, e.sequence});
    }
  }

  claim_columns brought;
  bool any = false;
  each(batches, &batch::claims, [&](const identity_claim& c) {
    brought.add(c);
    any = true;
  });
  if (!any) return facts;
  auto rows = db_->ask(
      "select c.tenant, c.job_id, c.user_id, c.idempotency_key, c.digest from claims c "
      "join unnest($1::text[], $2::text[]) n(tenant, job_id) using (tenant, job_id) union "
      "select c.tenant, c.job_id, c.user_id, c.idempotency_key, c.digest from claims c "
      "join unnest($1::text[], $3::text[], $4::text[]) n(tenant, user_id, idempotency_key) "
      "using (tenant, user_id, idempotency_key) where c.idempotency_key <> ''",
      brought.tenants.parameter(), brought.jobs.parameter(), brought.users.parameter(), brought.keys.parameter());
  if (!rows) return failure(std::move(rows.error()));
  for (const auto& row : *rows) {
    identity_claim c{row[0].as<std::string>(), row[2].as<std::string>(), row[1].as<std::string>(),
                     row[3].as<std::string>(), row[4].as<std::string>()};
    if (!c.idempotency_key.empty())
      facts.keys.emplace(idempotency_key{c.tenant, c.user_id, c.idempotency_key}, claimed_by{c.job_id, c.digest});
    facts.claims.emplace(job_key{c.tenant, c.job_id}, std::move(c));
  }
  return facts;
}

std::vector<result<append_outcome>> postgres_writer::kept(append_plan p, const source_changes& moved,
                                                          const postgres::append_base& next) {
  head_ = p.head;
  base_ = next;
  for (const auto& [source, progress] : moved.changed()) sources_.insert_or_assign(*source, *progress);
  return std::move(p.outcomes);
}

result<std::uint64_t> postgres_writer::raise_epochs(std::span<const std::uint32_t> shards) {
  array raised(element::int2);
  for (const auto shard : shards) {
    if (shard >= shard_count)
      return failure(error_code::invalid_argument, "shard " + std::to_string(shard) + " does not exist");
    raised.add(shard, 2);
  }
  auto epoch = db_->ask("select raise_epochs($1::smallint[])", raised.parameter());
  if (!epoch) return failure(unknown_if_lost(std::move(epoch.error())));
  if (auto ok = load(); !ok) return failure(std::move(ok.error()));
  return (*epoch)[0][0].as<std::uint64_t>();
}

result<store::claimed_source> postgres_writer::claim_source(const std::string& source) {
  const auto in_transaction = [&]() -> result<store::claimed_source> {
    if (auto ok = db_->run("begin"); !ok) return failure(std::move(ok.error()));
    auto stored = db_->ask("select progress from sources where source = $1::text for update", source);
    if (!stored) return failure(std::move(stored.error()));
    std::optional<source_progress> progress;
    if (!stored->empty()) {
      auto decoded = progress_of(source, (*stored)[0][0].c_str());
      if (!decoded) return failure(std::move(decoded.error()));
      progress = std::move(*decoded);
    }
    auto taken = claimed(std::move(progress));
    auto put = db_->ask(
        "insert into sources values($1::text, $2::bigint, $3::text) on conflict (source) do update set epoch = "
        "excluded.epoch, progress = excluded.progress",
        source, taken.progress.epoch, taken.progress.encode());
    if (!put) return failure(std::move(put.error()));
    if (auto ok = db_->run("commit"); !ok) return failure(unknown_if_lost(std::move(ok.error())));
    return taken;
  };
  auto taken = in_transaction();
  if (taken)
    sources_.insert_or_assign(source, taken->progress);
  else if (!db_->lost())
    (void)db_->run("rollback");
  return taken;
}

}  // namespace horizons::journal
