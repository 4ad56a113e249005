#include "actors/jobs/job_table.hpp"

#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "actors/jobs/memory_job_table.hpp"
#include "runtime/journal/sqlite.hpp"

namespace horizons::jobs {

namespace sqlite = journal::sqlite;

namespace {

constexpr int table_version = 4;
constexpr std::size_t folded_jobs_max = 20'000;   // kept in memory between events: some 2 KiB each
constexpr std::size_t finished_jobs_max = 5'000;  // not written yet
constexpr std::size_t written_at_once = 250;      // jobs, some milliseconds: more would keep a processor from them

/// What a write takes. A job is written once when it is not taken before it has finished.
enum class share : std::uint8_t {
  finished,
  aged,  // and what the write before has left
  all
};

constexpr const char* schema = R"(
  CREATE TABLE meta (journal TEXT NOT NULL, position INTEGER NOT NULL);
  CREATE TABLE jobs (
    position INTEGER PRIMARY KEY, tenant TEXT NOT NULL, job_id TEXT NOT NULL, status TEXT NOT NULL,
    open INTEGER NOT NULL, user_id TEXT NOT NULL, agent TEXT NOT NULL, priority INTEGER NOT NULL,
    attempt INTEGER NOT NULL, submitted_ms INTEGER NOT NULL, gpus INTEGER NOT NULL, cpus INTEGER NOT NULL,
    walltime_s INTEGER NOT NULL, dataset INTEGER NOT NULL, origin TEXT NOT NULL, sequence INTEGER NOT NULL,
    state TEXT NOT NULL);
  CREATE UNIQUE INDEX jobs_by_name ON jobs (job_id, tenant);
  CREATE INDEX jobs_open ON jobs (position) WHERE open = 1;
)";

/// The first start of a job right after it was queued: its event alone tells the job's whole state.
bool is_first_start(const event& e) {
  const auto* r = std::get_if<job_running>(&e.data);
  return r && e.sequence == 3 && r->attempt == 1 && r->old_status == to_string(job_status::queued);
}

/// A job as it was before that.
job queued_job(const event& e) {
  job j;
  j.tenant = e.tenant;
  j.job_id = e.job_id;
  j.status = job_status::queued;
  j.last_sequence = e.sequence - 1;
  return j;
}

/// A table in an SQLite file.
class file_job_table final : public job_table {
public:
  static result<std::unique_ptr<job_table>> open(const std::string& path, const std::string& journal_id);
  std::uint64_t position() const override { return position_; }
  std::uint64_t written() const override { return written_; }
  result<void> apply(const journal::event_list& events) override;
  result<void> write() override;
  result<bool> write_some() override;
  result<job_page> list(const job_query& query) override;
  result<std::vector<open_job>> open_jobs(std::uint64_t after, std::size_t limit) override;
  result<std::optional<job>> find(const job_key& key) override;

private:
  struct kept {
    job value;
    bool is_stored = false;  // there is a row
    bool is_whole = true;    // else only its state is here, and its origin in the row
    bool unwritten = false;
    bool aged = false;        // a write has left it
    std::uint64_t since = 0;  // the first event that is not in the row
  };
  using folded_jobs = std::unordered_map<job_key, kept, job_key_hash, std::equal_to<>>;

  result<void> prepare_all() {
    auto one = [&](sqlite::statement& s, std::string_view sql) -> result<void> {
      auto made = db_.prepare(sql);
      if (!made) return failure(made.error());
      s = std::move(*made);
      return {};
    };
    for (auto& [s, sql] : std::initializer_list<std::pair<sqlite::statement*, std::string_view>>{
             {&begin_, "BEGIN IMMEDIATE"},
             {&commit_, "COMMIT"},
             // A row that is newer stays: after a crash, events are applied again that it knows.
             {&put_,
              "INSERT INTO jobs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) "
              "ON CONFLICT (position) DO UPDATE SET status = excluded.status, open = excluded.open, attempt = "
              "excluded.attempt, sequence = excluded.sequence, state = excluded.state WHERE sequence < "
              "excluded.sequence"},
             {&change_,
              "UPDATE jobs SET status = ?1, open = ?2, attempt = ?3, sequence = ?4, state = ?5 "
              "WHERE job_id = ?6 AND tenant = ?7 AND sequence < ?4"},
             {&get_, "SELECT origin, state FROM jobs WHERE job_id = ?1 AND tenant = ?2"},
             {&move_, "UPDATE meta SET position = ?1"},
             {&open_page_,
              "SELECT tenant, job_id, status, priority, position, attempt, user_id, gpus, cpus, walltime_s, dataset, "
              "agent FROM jobs WHERE open = 1 AND position > ?1 ORDER BY position LIMIT ?2"}})
      if (auto ok = one(*s, sql); !ok) return ok;
    return {};
  }

  /// `newer`: its state instead of the row's.
  result<std::optional<job>> load(const job_key& key, const job* newer = nullptr) {
    sqlite::reset_at_end guard(get_);
    auto row = get_.bind(1, key.job_id).bind(2, key.tenant).step();
    if (!row) return failure(row.error());
    if (!*row) return std::optional<job>{};
    auto j = job::from_snapshots(get_.text(0), newer ? newer->state_snapshot() : std::string(get_.text(1)));
    if (!j) return failure(j.error());
    return std::optional<job>(std::move(*j));
  }

  result<void> store(const kept& k) {
    const auto& j = k.value;
    const auto status = to_string(j.status);
    const auto state = j.state_snapshot();
    const std::int64_t open = !is_final(j.status), attempt = j.attempt;
    if (k.is_stored)
      return change_.bind(1, status)
          .bind(2, open)
          .bind(3, attempt)
          .bind(4, j.last_sequence)
          .bind(5, state)
          .bind(6, j.job_id)
          .bind(7, j.tenant)
          .run();
    if (j.position == 0) return {};  // its beginning is in no journal we know
    const auto origin = j.origin_snapshot();
    const auto submitted = j.submitted_at ? j.submitted_at->time_since_epoch().count() : 0;
    return put_.bind(1, j.position)
        .bind(2, j.tenant)
        .bind(3, j.job_id)
        .bind(4, status)
        .bind(5, open)
        .bind(6, j.user_id)
        .bind(7, j.request.agent)
        .bind(8, std::int64_t{j.request.priority})
        .bind(9, attempt)
        .bind(10, std::int64_t{submitted})
        .bind(11, std::int64_t{j.request.wants.gpus})
        .bind(12, std::int64_t{j.request.wants.cpus})
        .bind(13, std::int64_t{j.request.wants.walltime_s})
        .bind(14, static_cast<std::int64_t>(std::hash<std::string>{}(j.request.dataset)))
        .bind(15, origin)
        .bind(16, j.last_sequence)
        .bind(17, state)
        .run();
  }

  /// The job of that event as it stands, in memory.
  result<folded_jobs::value_type*> job_of(const event& e) {
    if (auto at = folded_.find(job_name{e.tenant, e.job_id}); at != folded_.end()) return &*at;
    job_key key{e.tenant, e.job_id};
    kept k;
    if (is_first_start(e)) {
      k = {queued_job(e), true, false};
    } else if (e.sequence > 1) {
      auto known = load(key);
      if (!known) return failure(known.error());
      if (*known) k = {std::move(**known), true};
    }
    return &*folded_.emplace(std::move(key), std::move(k)).first;
  }

  result<void> fold(const journal::event_list& events) {
    folded_jobs::value_type* of = nullptr;  // of the event before: a job's first events stand together
    for (auto& e : events) {
      if (e.position <= position_) continue;
      if (!e.job_id.empty() && is_life_cycle(e.data)) {
        if (!of || of->first.job_id != e.job_id || of->first.tenant != e.tenant) {
          auto found = job_of(e);
          if (!found) return failure(found.error());
          of = *found;
        }
        auto& k = of->second;
        const auto before = k.value.last_sequence;
        k.value.apply(e);
        if (k.value.last_sequence != before) {
          if (!std::exchange(k.unwritten, true)) {
            k.since = e.position;
            unwritten_.push_back(of);
          }
          if (is_final(k.value.status)) ++finished_;
        }
      }
      position_ = e.position;
    }
    return {};
  }

  bool behind() const { return position_ != written_ || !writing_.empty(); }

  /// Moves that share of what is unwritten to `writing_`.
  void begin_write(share which) {
    std::vector<folded_jobs::value_type*> left;
    for (auto* entry : unwritten_) {
      auto& k = entry->second;
      const bool taken = which == share::all || is_final(k.value.status) || (which == share::aged && k.aged);
      if (which == share::aged) k.aged = true;
      (taken ? writing_ : left).push_back(entry);
    }
    unwritten_ = std::move(left);
    finished_ = 0;
    writing_to_ = unwritten_.empty() ? position_ : unwritten_.front()->second.since - 1;
  }

  /// One transaction for so many jobs. A job is written as it stands, which may be newer than the position: its events
  /// after that count for nothing when they are read again.
  result<void> write_jobs(std::size_t jobs_max, share which) {
    if (!behind()) return {};
    if (writing_.empty()) begin_write(which);
    if (writing_.empty() && writing_to_ == written_) return {};
    const auto left = writing_.size() - std::min(jobs_max, writing_.size());
    if (auto ok = begin_.run(); !ok) return ok;
    result<void> done;
    for (auto i = left; done && i < writing_.size(); ++i) done = store(writing_[i]->second);
    if (done && left == 0) done = move_.bind(1, writing_to_).run();
    if (done) done = commit_.run();
    if (!done) {
      if (db_.in_transaction()) (void)db_.run("rollback");
      return done;
    }
    for (; writing_.size() > left; writing_.pop_back()) {
      auto* entry = writing_.back();
      entry->second.unwritten = entry->second.aged = false;
      entry->second.is_stored = entry->second.is_stored || entry->second.value.position > 0;
      if (is_final(entry->second.value.status)) folded_.erase(job_key(entry->first));
    }
    if (left > 0) return {};
    written_ = writing_to_;
    if (folded_.size() > folded_jobs_max) std::erase_if(folded_, [](auto& entry) { return !entry.second.unwritten; });
    return {};
  }

  sqlite::connection db_;
  sqlite::statement begin_, commit_, put_, change_, get_, move_, open_page_;
  std::uint64_t position_ = 0;
  std::uint64_t written_ = 0;                        // up to there the file says it
  folded_jobs folded_;                               // recent jobs, so that an event costs no parsing
  std::vector<folded_jobs::value_type*> unwritten_;  // and not in `writing_`, in the order of `since`
  std::size_t finished_ = 0;                         // about so many of them
  std::vector<folded_jobs::value_type*> writing_;    // on their way to the file, piece by piece
  std::uint64_t writing_to_ = 0;                     // what the file will say when they are there
};

result<std::unique_ptr<job_table>> file_job_table::open(const std::string& path, const std::string& journal_id) {
  auto s = std::make_unique<file_job_table>();
  auto opened = sqlite::connection::open(path, sqlite::access::write);
  if (!opened) return failure(opened.error());
  s->db_ = std::move(*opened);
  // NORMAL in WAL mode syncs only at checkpoints: what a power cut takes is applied again from the journal.
  if (auto ok = s->db_.run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -8192"); !ok)
    return failure(ok.error());
  auto version = s->db_.integer("PRAGMA user_version");
  if (!version) return failure(version.error());
  bool usable = *version == table_version;
  if (usable) {
    auto meta = s->db_.prepare("SELECT journal, position FROM meta");
    if (!meta) return failure(meta.error());
    auto row = meta->step();
    if (!row) return failure(row.error());
    usable = *row && meta->text(0) == journal_id;
    if (usable) s->position_ = s->written_ = meta->natural(1);
    meta->reset();
  }
  if (!usable) {
    s->position_ = s->written_ = 0;
    auto fresh = std::string("BEGIN; DROP TABLE IF EXISTS meta; DROP TABLE IF EXISTS jobs;") + schema +
                 "INSERT INTO meta VALUES ('" + journal_id +
                 "', 0); PRAGMA user_version = " + std::to_string(table_version) + "; COMMIT;";
    if (auto ok = s->db_.run(fresh.c_str()); !ok) return failure(ok.error());
  }
  if (auto ok = s->prepare_all(); !ok) return failure(ok.error());
  return s;
}

result<void> file_job_table::apply(const journal::event_list& events) {
  if (auto ok = fold(events); !ok) return ok;
  const bool full = unwritten_.size() >= folded_jobs_max;
  if (writing_.empty() && finished_ < finished_jobs_max && !full) return {};
  return write_jobs(std::max(written_at_once, events.size()),  // no fewer than may have been added
                    full ? share::all : share::finished);
}

result<bool> file_job_table::write_some() {
  if (auto ok = write_jobs(written_at_once, share::aged); !ok) return failure(ok.error());
  return !writing_.empty();
}

result<void> file_job_table::write() {
  while (behind())
    if (auto ok = write_jobs(folded_jobs_max, share::all); !ok) return ok;
  return {};
}

result<std::optional<job>> file_job_table::find(const job_key& key) {
  auto at = folded_.find(key);
  if (at == folded_.end()) return load(key);
  auto& k = at->second;
  return k.is_whole ? std::optional(k.value) : load(key, &k.value);
}

result<job_page> file_job_table::list(const job_query& q) {
  const auto before = page_begin(q);
  if (!before) return failure(before.error());
  if (auto ok = write(); !ok) return failure(ok.error());
  std::string sql = "SELECT origin, state, position FROM jobs WHERE position < ?1";
  std::vector<std::string> texts;
  auto also = [&](const char* column, const std::string& value) {
    if (value.empty()) return;
    texts.push_back(value);
    sql += std::string(" AND ") + column + " = ?" + std::to_string(texts.size() + 1);
  };
  also("tenant", q.tenant);
  also("status", q.status);
  also("user_id", q.user);
  also("agent", q.agent);
  if (q.since) sql += " AND submitted_ms >= " + std::to_string(q.since->time_since_epoch().count());
  sql += " ORDER BY position DESC LIMIT " + std::to_string(q.page_size + 1);
  auto s = db_.prepare(sql);
  if (!s) return failure(s.error());
  s->bind(1, *before);
  for (std::size_t i = 0; i < texts.size(); ++i) s->bind(static_cast<int>(i + 2), texts[i]);
  job_page page;
  std::uint64_t last = 0;
  for (;;) {
    auto row = s->step();
    if (!row) return failure(row.error());
    if (!*row) break;
    if (page.jobs.size() == q.page_size) {
      page.next_page_token = std::to_string(last);
      break;
    }
    auto j = job::from_snapshots(s->text(0), s->text(1));
    if (!j) return failure(j.error());
    page.jobs.push_back(j->view());
    last = s->natural(2);
  }
  return page;
}

result<std::vector<open_job>> file_job_table::open_jobs(std::uint64_t after, std::size_t limit) {
  if (auto ok = write(); !ok) return failure(ok.error());
  auto& s = open_page_;
  sqlite::reset_at_end guard(s);
  s.bind(1, after).bind(2, static_cast<std::int64_t>(limit));
  std::vector<open_job> out;
  for (;;) {
    auto row = s.step();
    if (!row) return failure(row.error());
    if (!*row) return out;
    auto status = parse_job_status(s.text(2));
    if (!status) return failure(status.error());
    out.push_back({{std::string(s.text(0)), std::string(s.text(1))},
                   *status,
                   static_cast<int>(s.integer(3)),
                   s.natural(4),
                   static_cast<int>(s.integer(5)),
                   std::string(s.text(6)),
                   static_cast<int>(s.integer(7)),
                   static_cast<int>(s.integer(8)),
                   s.integer(9),
                   static_cast<std::uint64_t>(s.integer(10)),
                   std::string(s.text(11))});
  }
}

}  // namespace

result<std::unique_ptr<job_table>> job_table::open(const std::string& path, const std::string& journal_id) {
  if (path == ":memory:") return std::make_unique<memory_job_table>();
  return file_job_table::open(path, journal_id);
}

result<std::uint64_t> page_begin(const job_query& q) {
  std::uint64_t before = std::uint64_t{1} << 62;
  if (!q.page_token.empty()) {
    auto [end, ec] = std::from_chars(q.page_token.data(), q.page_token.data() + q.page_token.size(), before);
    if (ec != std::errc{} || end != q.page_token.data() + q.page_token.size() || before >> 62)
      return failure(error_code::invalid_argument,
                     "page_token \"" + q.page_token + "\" is none of ours; use next_page_token of the page before");
  }
  if (!q.status.empty())
    if (auto known = parse_job_status(q.status); !known) return failure(known.error());
  if (q.page_size < 1 || q.page_size > 1'000)
    return failure(error_code::invalid_argument, "page_size = " + std::to_string(q.page_size) + "; expected 1 to 1000");
  return before;
}

}  // namespace horizons::jobs
