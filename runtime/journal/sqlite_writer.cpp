#include "runtime/journal/sqlite_writer.hpp"

#include <algorithm>
#include <chrono>

#include "messages/limits.hpp"
#include "messages/text.hpp"
#include "messages/ulid.hpp"
#include "runtime/journal/sqlite_schema.hpp"

namespace horizons::journal {

namespace {

// synchronous=FULL syncs the log in every commit: what was acknowledged survives a power cut.
// Pages of 4 KiB (the file system's): a commit of one event writes few of them to the log. The cache holds the inner
// pages of the indexes of some 10^7 events; a larger one costs each commit, which walks through all of it after a page
// was split (SQLite 3.40: its place-holder beyond the file's end is cut off again). No mmap: a read error would be a
// SIGBUS instead of an error.
constexpr const char* writer_settings =
    "pragma journal_mode = wal; pragma synchronous = full; pragma cache_size = -16384; "
    "pragma journal_size_limit = 67108864; pragma mmap_size = 0; pragma temp_store = memory;";

}  // namespace

result<std::unique_ptr<sqlite_writer>> sqlite_writer::open(const std::string& path) {
  auto db = sqlite::connection::open(path, sqlite::access::write);
  if (!db) return failure(std::move(db.error()));
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  auto ok = db->run(writer_settings);
  if (ok) ok = sqlite::migrate(*db, make_ulid(now));
  std::unique_ptr<sqlite_writer> writer(new sqlite_writer(std::move(*db), path));
  if (ok) ok = writer->prepare();
  if (ok) ok = writer->load_epochs();
  if (!ok) return failure(std::move(ok.error()));
  auto head = writer->view_.head();
  if (!head) return failure(std::move(head.error()));
  auto last = writer->db_.integer("select coalesce(max(position), 0) from events");
  if (!last) return failure(std::move(last.error()));
  if (static_cast<std::uint64_t>(*last) != head->position)  // going on would hide what was cut off or put in
    return failure(error_code::unreadable, "journal " + path + ": ends at position " + std::to_string(*last) +
                                               ", but its head says " + std::to_string(head->position) +
                                               ": it was changed from outside; restore it from a copy");
  writer->head_ = *head;
  return writer;
}

result<void> sqlite_writer::prepare() {
  const std::pair<sqlite::statement*, const char*> all[] = {
      {&insert_event_, "insert into events values(?,?,?,?,?,?,?,?,?,?) on conflict do nothing"},
      {&find_event_, "select position from events where event_id = ?"},
      {&delete_events_, "delete from events where position >= ?"},
      {&insert_claim_, "insert into claims values(?,?,?,?,?) on conflict do nothing"},
      {&find_by_job_, "select job_id, digest, user_id, idempotency_key from claims where tenant = ? and job_id = ?"},
      {&find_by_key_,
       "select job_id, digest from claims where tenant = ? and user_id = ? and idempotency_key = ? and idempotency_key "
       "<> ''"},
      {&delete_claim_, "delete from claims where tenant = ? and job_id = ?"},
      {&put_source_, "insert into sources values(?,?) on conflict(source) do update set progress = excluded.progress"},
      {&put_head_, "update chain_head set count = ?, position = ?, hash = ?"},
      {&put_block_,
       "insert into time_blocks values(?,?,?) on conflict(block) do update set "
       "time_min = min(time_min, excluded.time_min), time_max = max(time_max, excluded.time_max)"},
      {&put_epoch_, "insert into shard_epochs values(?,?) on conflict(shard) do update set epoch = excluded.epoch"},
      {&begin_, "begin immediate"},
      {&commit_, "commit"},
  };
  for (auto& [target, sql] : all) {
    auto made = db_.prepare(sql);
    if (!made) return failure(std::move(made.error()));
    *target = std::move(*made);
  }
  return {};
}

result<void> sqlite_writer::load_epochs() {
  auto all = db_.prepare("select shard, epoch from shard_epochs where shard between 0 and 255");
  if (!all) return failure(std::move(all.error()));
  for (;;) {
    auto row = all->step();
    if (!row) return failure(std::move(row.error()));
    if (!*row) return {};
    epochs_[all->natural(0)] = all->natural(1);
  }
}

result<std::uint64_t> sqlite_writer::position_of(const ulid_bytes& id) {
  const sqlite::reset_at_end end(find_event_);
  auto row = find_event_.bind(1, id).step();
  if (!row) return failure(std::move(row.error()));
  return *row ? find_event_.natural(0) : 0;
}

/// The claim already stored for this job or this key, if any; `same`: it is this very claim.
result<std::optional<claimed_by>> sqlite_writer::standing_claim(const identity_claim& c, bool& same) {
  same = false;
  {
    const sqlite::reset_at_end end(find_by_job_);
    auto row = find_by_job_.bind(1, c.tenant).bind(2, c.job_id).step();
    if (!row) return failure(std::move(row.error()));
    if (*row) {
      same = find_by_job_.text(1) == c.digest && find_by_job_.text(2) == c.user_id &&
             find_by_job_.text(3) == c.idempotency_key;
      return std::optional(claimed_by{std::string(find_by_job_.text(0)), std::string(find_by_job_.text(1))});
    }
  }
  const sqlite::reset_at_end end(find_by_key_);
  auto row = find_by_key_.bind(1, c.tenant).bind(2, c.user_id).bind(3, c.idempotency_key).step();
  if (!row) return failure(std::move(row.error()));
  if (!*row)
    return failure(error_code::internal,
                   "journal: a claim of job " + quote(c.job_id) + " was refused without a reason");
  return std::optional(claimed_by{std::string(find_by_key_.text(0)), std::string(find_by_key_.text(1))});
}

/// Stores a claim; `made` false and no answer: this very claim is there already.
result<std::optional<claimed_by>> sqlite_writer::claim(const identity_claim& c, bool& made) {
  insert_claim_.bind(1, c.tenant).bind(2, c.job_id).bind(3, c.user_id).bind(4, c.idempotency_key).bind(5, c.digest);
  if (auto ok = insert_claim_.run(); !ok) return failure(std::move(ok.error()));
  made = db_.changes() == 1;
  if (made) return std::optional<claimed_by>();
  bool same = false;
  auto standing = standing_claim(c, same);
  if (standing && same) return std::optional<claimed_by>();
  return standing;
}

/// Undoes a refused batch inside the transaction. Refusals are rare: this is cheaper than a savepoint per batch.
result<void> sqlite_writer::take_back(std::uint64_t from, std::span<const identity_claim* const> claims) {
  if (auto ok = delete_events_.bind(1, from).run(); !ok) return ok;
  for (const auto* c : claims)
    if (auto ok = delete_claim_.bind(1, c->tenant).bind(2, c->job_id).run(); !ok) return ok;
  return {};
}

result<result<append_outcome>> sqlite_writer::append_one(const batch& b, source_changes& moved) {
  if (auto ok = admit(b); !ok) return result<append_outcome>(failure(std::move(ok.error())));
  if (!marks_alone(b) && b.epoch < epochs_[b.shard])
    return result<append_outcome>(failure(fenced_error(b.shard, b.epoch, epochs_[b.shard])));
  auto owned = moved.check(b.marks);
  if (!owned) return failure(std::move(owned.error()));
  if (!*owned) return result<append_outcome>(failure(std::move(owned->error())));

  const chain_state before = pending_;
  const auto blocks_before = blocks_;
  append_outcome outcome;
  std::vector<const identity_claim*> made_claims;
  const auto refuse = [&](result<append_outcome> answer) -> result<result<append_outcome>> {
    if (auto ok = take_back(before.position + 1, made_claims); !ok) return failure(std::move(ok.error()));
    pending_ = before;
    blocks_ = blocks_before;
    return answer;
  };

  // A repeat of an append whose outcome was unknown brings its claims again: they stand, and so do all its events.
  // Standing claims with new events are somebody else's submission of the same job.
  const identity_claim* repeated = nullptr;
  for (const identity_claim& c : b.claims) {
    bool made = false;
    auto standing = claim(c, made);
    if (!standing) return failure(std::move(standing.error()));
    if (*standing) return refuse(append_outcome{{}, std::move(*standing)});
    if (made)
      made_claims.push_back(&c);
    else
      repeated = &c;
  }

  outcome.positions.reserve(b.events.size());
  std::string made;
  for (std::size_t i = 0; i < b.events.size(); ++i) {
    const event& e = b.events[i];
    const auto id = bytes_of_ulid(e.event_id);
    if (!has_texts(b)) made = stored_text(e);
    const std::string& data = has_texts(b) ? b.texts[i] : made;
    if (data.size() > limits::message_bytes_max) return refuse(failure(too_large(e, data.size())));
    const auto position = pending_.position + 1;
    const auto hash = hasher_.link(pending_.hash, position, data);
    const auto time = e.time.time_since_epoch().count();
    insert_event_.bind(1, position).bind(2, id).bind(3, e.tenant);
    if (e.job_id.empty())
      insert_event_.bind_null(4);
    else
      insert_event_.bind(4, e.job_id);
    if (e.sequence == 0)
      insert_event_.bind_null(5);
    else
      insert_event_.bind(5, e.sequence);
    insert_event_.bind(6, type_of(e.data)).bind(7, time).bind(8, std::uint64_t{b.shard}).bind(9, data).bind(10, hash);
    if (auto ok = insert_event_.run(); !ok) return failure(std::move(ok.error()));
    if (db_.changes() == 0) {
      auto old = position_of(id);
      if (!old) return failure(std::move(old.error()));
      if (*old == 0) {
        if (!repeated) return refuse(failure(sequence_error(e)));
        bool same = false;
        auto standing = standing_claim(*repeated, same);
        if (!standing) return failure(std::move(standing.error()));
        return refuse(append_outcome{{}, std::move(*standing)});
      }
      outcome.positions.push_back(*old);
      continue;
    }
    if (repeated) {
      bool same = false;
      auto standing = standing_claim(*repeated, same);
      if (!standing) return failure(std::move(standing.error()));
      return refuse(append_outcome{{}, std::move(*standing)});
    }
    pending_ = {pending_.count + 1, position, hash};
    auto [block, fresh] = blocks_.try_emplace(position >> time_block_bits, time, time);
    if (!fresh) block->second = {std::min(block->second.first, time), std::max(block->second.second, time)};
    outcome.positions.push_back(position);
  }
  if (auto ok = moved.apply(b.marks); !ok) return refuse(failure(std::move(ok.error())));
  return result<append_outcome>(std::move(outcome));
}

result<void> sqlite_writer::write_head() {
  if (pending_.position == head_.position) return {};
  for (const auto& [block, range] : blocks_)
    if (auto ok = put_block_.bind(1, block).bind(2, range.first).bind(3, range.second).run(); !ok) return ok;
  return put_head_.bind(1, pending_.count).bind(2, pending_.position).bind(3, pending_.hash).run();
}

result<void> sqlite_writer::write(const source_changes& moved) {
  for (const auto& [source, progress] : moved.changed()) {
    const auto text = progress->encode();
    if (auto ok = put_source_.bind(1, *source).bind(2, text).run(); !ok) return ok;
  }
  return {};
}

result<std::vector<result<append_outcome>>> sqlite_writer::append(std::span<const batch_ptr> batches,
                                                                  bool& outcome_unknown) {
  const auto abandon = [&](error why) {
    if (db_.in_transaction()) (void)db_.run("rollback");
    return failure(std::move(why));
  };
  pending_ = head_;
  blocks_.clear();
  if (auto ok = begin_.run(); !ok) return abandon(std::move(ok.error()));
  std::vector<result<append_outcome>> outcomes;
  outcomes.reserve(batches.size());
  source_changes moved([this](const std::string& source) { return view_.read_source(source); });
  for (const auto& b : batches) {
    auto outcome = append_one(*b, moved);
    if (!outcome) return abandon(std::move(outcome.error()));
    outcomes.push_back(std::move(*outcome));
  }
  if (auto ok = write(moved); !ok) return abandon(std::move(ok.error()));
  if (auto ok = write_head(); !ok) return abandon(std::move(ok.error()));
  if (auto ok = commit_.run(); !ok) {
    // A failed write leaves the log without its commit mark. A failed sync may leave a whole one behind, which the
    // next opening would find: only opening the file again tells what became of it.
    outcome_unknown = ok.error().code != error_code::disk_full && ok.error().code != error_code::unavailable;
    return abandon(std::move(ok.error()));
  }
  head_ = pending_;
  checkpoints_.after_commit();
  return outcomes;
}

result<std::uint64_t> sqlite_writer::raise_epochs(std::span<const std::uint32_t> shards) {
  std::uint64_t epoch = 0;
  for (const auto shard : shards) {
    if (shard >= shard_count)
      return failure(error_code::invalid_argument, "shard " + std::to_string(shard) + " does not exist");
    epoch = std::max(epoch, epochs_[shard]);
  }
  ++epoch;
  const auto ok = in_transaction([&]() -> result<void> {
    for (const auto shard : shards)
      if (auto put = put_epoch_.bind(1, std::uint64_t{shard}).bind(2, epoch).run(); !put) return put;
    return {};
  });
  if (!ok) return failure(ok.error());
  for (const auto shard : shards) epochs_[shard] = epoch;
  return epoch;
}

result<store::claimed_source> sqlite_writer::claim_source(const std::string& source) {
  store::claimed_source taken;
  const auto ok = in_transaction([&]() -> result<void> {
    auto stored = view_.read_source(source);
    if (!stored) return failure(std::move(stored.error()));
    taken = claimed(std::move(*stored));
    const auto text = taken.progress.encode();
    return put_source_.bind(1, source).bind(2, text).run();
  });
  if (!ok) return failure(ok.error());
  return taken;
}

result<void> sqlite_writer::in_transaction(const std::function<result<void>()>& change) {
  auto ok = begin_.run();
  if (ok) ok = change();
  if (ok) ok = commit_.run();
  if (!ok && db_.in_transaction()) (void)db_.run("rollback");
  return ok;
}

}  // namespace horizons::journal
