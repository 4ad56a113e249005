#include "runtime/journal/sqlite_view.hpp"

#include <algorithm>
#include <limits>

#include "messages/codec/json.hpp"
#include "messages/text.hpp"
#include "runtime/journal/source_changes.hpp"

namespace horizons::journal {

namespace {

constexpr std::uint64_t position_max = std::numeric_limits<std::int64_t>::max();  // SQLite's integers are signed
constexpr std::size_t verify_page = 1'000;  // rows per statement: no read stays open long enough to hold the log back

// Of the blocks from one on, by their times.
constexpr const char* first_block_since =
    "select block from time_blocks where block >= ? and time_max >= ? order by block limit 1";
constexpr const char* last_block_before =
    "select block from time_blocks where block >= ? and time_min < ? order by block desc limit 1";

std::int64_t ms_of(timestamp t) { return t.time_since_epoch().count(); }

/// Whether the columns that queries use say the same as the event itself.
bool columns_agree(const sqlite::statement& row, const event& e) {
  const auto id = bytes_of_ulid(e.event_id);
  return std::ranges::equal(row.blob(3), id) && row.text(4) == e.tenant && row.text(5) == e.job_id &&
         row.is_null(5) == e.job_id.empty() && row.natural(6) == e.sequence && row.text(7) == type_of(e.data) &&
         row.integer(8) == ms_of(e.time);
}

}  // namespace

result<sqlite::statement*> sqlite_view::prepared(const std::string& sql) {
  auto found = statements_.find(sql);
  if (found == statements_.end()) {
    auto made = db_.prepare(sql);
    if (!made) return failure(std::move(made.error()));
    found = statements_.emplace(sql, std::move(*made)).first;
  }
  return &found->second;
}

result<std::string> sqlite_view::journal_id() {
  auto s = prepared("select value from meta where name = 'journal_id'");
  if (!s) return failure(std::move(s.error()));
  const sqlite::reset_at_end end(**s);
  auto row = (*s)->step();
  if (!row) return failure(std::move(row.error()));
  if (!*row) return failure(error_code::unreadable, "journal: the row meta.journal_id is missing");
  return std::string((*s)->text(0));
}

result<chain_state> sqlite_view::head() {
  auto s = prepared("select count, position, hash from chain_head");
  if (!s) return failure(std::move(s.error()));
  const sqlite::reset_at_end end(**s);
  auto row = (*s)->step();
  if (!row) return failure(std::move(row.error()));
  chain_state head;
  if (!*row || (*s)->blob(2).size() != head.hash.size())
    return failure(error_code::unreadable, "journal: the head of the hash chain is missing or damaged");
  head.count = (*s)->natural(0);
  head.position = (*s)->natural(1);
  std::ranges::copy((*s)->blob(2), head.hash.begin());
  return head;
}

result<std::uint64_t> sqlite_view::size_bytes() {
  auto pages = db_.integer("pragma page_count");
  auto bytes = db_.integer("pragma page_size");
  if (!pages) return failure(std::move(pages.error()));
  if (!bytes) return failure(std::move(bytes.error()));
  return static_cast<std::uint64_t>(*pages * *bytes);
}

result<std::optional<std::uint64_t>> sqlite_view::find_block(const char* sql, std::uint64_t from, timestamp t) {
  auto s = prepared(sql);
  if (!s) return failure(std::move(s.error()));
  const sqlite::reset_at_end end(**s);
  auto row = (*s)->bind(1, from >> time_block_bits).bind(2, ms_of(t)).step();
  if (!row) return failure(std::move(row.error()));
  return *row ? std::optional((*s)->natural(0)) : std::nullopt;
}

result<sqlite_view::bounds> sqlite_view::bounds_of(const event_filter& filter) {
  bounds b{filter.after_position < position_max ? filter.after_position + 1 : position_max,
           std::min(filter.before_position.value_or(position_max), position_max)};
  if (filter.start) {
    auto first = find_block(first_block_since, b.first, *filter.start);
    if (!first) return failure(std::move(first.error()));
    b.first = std::max(b.first, *first ? **first << time_block_bits : position_max);
  }
  if (filter.end && b.first < b.end) {
    auto last = find_block(last_block_before, b.first, *filter.end);
    if (!last) return failure(std::move(last.error()));
    b.end = std::min(b.end, *last ? (**last + 1) << time_block_bits : 0);
  }
  return b;
}

result<std::vector<event>> sqlite_view::read(const event_filter& filter, std::size_t limit) {
  if (auto ok = admit(filter, limit); !ok) return failure(std::move(ok.error()));
  auto span = bounds_of(filter);
  if (!span) return failure(std::move(span.error()));
  if (span->first >= span->end) return std::vector<event>();
  return read_both(filter, span->first, span->end, limit);
}

result<std::uint64_t> sqlite_view::archived_to() {
  auto s = prepared("select coalesce(max(last), 0) from archives");
  if (!s) return failure(std::move(s.error()));
  const sqlite::reset_at_end end(**s);
  if (auto row = (*s)->step(); !row) return failure(std::move(row.error()));
  return (*s)->natural(0);
}

result<std::uint64_t> sqlite_view::first_since(timestamp before) {
  auto archived = archived_to();
  if (!archived) return archived;
  auto block = find_block(first_block_since, *archived, before);
  if (!block) return failure(std::move(block.error()));
  return *block ? **block << time_block_bits : position_max;
}

result<std::optional<segment>> sqlite_view::segment_from(std::uint64_t position, const std::string& job_id) {
  auto found =
      prepared(job_id.empty() ? "select first, last, chain, data from archives where last >= ?1 order by last limit 1"
                              : "select first, last, chain, data from archived_jobs join archives using (last) "
                                "where job = ?2 and last >= ?1 order by last limit 1");
  if (!found) return failure(std::move(found.error()));
  sqlite::statement& s = **found;
  const sqlite::reset_at_end end(s);
  s.bind(1, position);
  if (!job_id.empty()) s.bind(2, archive_key(job_id));
  auto row = s.step();
  if (!row) return failure(std::move(row.error()));
  if (!*row) return std::optional<segment>();
  segment found_one{.first = s.natural(0), .last = s.natural(1)};
  if (s.blob(2).size() == found_one.chain.size()) std::ranges::copy(s.blob(2), found_one.chain.begin());
  found_one.data.assign(reinterpret_cast<const char*>(s.blob(3).data()), s.blob(3).size());
  return std::optional(std::move(found_one));
}

result<bool> sqlite_view::in_table(const std::string& tenant, const std::string& job_id) {
  auto s = prepared("select 1 from events where job_id = ? and tenant = ? and sequence = 1");
  if (!s) return failure(std::move(s.error()));
  const sqlite::reset_at_end end(**s);
  return (*s)->bind(1, job_id).bind(2, tenant).step();
}

result<void> sqlite_view::read_table(const event_filter& filter, std::uint64_t first, std::uint64_t end_position,
                                     std::size_t limit, std::vector<event>& events, std::size_t& bytes) {
  // The planner has no statistics: it is told which index. A job's events are few, sorting them is cheaper than
  // walking the table.
  const char* index = !filter.job_id.empty() ? " indexed by events_job"
                      : !filter.type.empty() ? " indexed by events_type"
                                             : " not indexed";
  std::string sql =
      std::string("select position, data from events") + index + " where position >= ?1 and position < ?2";
  if (!filter.job_id.empty()) sql += " and job_id = ?4";
  if (!filter.tenant.empty()) sql += " and tenant = ?5";
  if (!filter.type.empty()) sql += " and type = ?6";
  if (filter.start) sql += " and time >= ?7";
  if (filter.end) sql += " and time < ?8";
  sql += " order by position limit ?3";

  auto found = prepared(sql);
  if (!found) return failure(std::move(found.error()));
  sqlite::statement& s = **found;
  const sqlite::reset_at_end end(s);
  s.bind(1, first).bind(2, end_position).bind(3, static_cast<std::uint64_t>(limit - events.size()));
  if (!filter.job_id.empty()) s.bind(4, filter.job_id);
  if (!filter.tenant.empty()) s.bind(5, filter.tenant);
  if (!filter.type.empty()) s.bind(6, filter.type);
  if (filter.start) s.bind(7, ms_of(*filter.start));
  if (filter.end) s.bind(8, ms_of(*filter.end));

  while (bytes < read_bytes_max) {
    auto row = s.step();
    if (!row) return failure(std::move(row.error()));
    if (!*row) break;
    bytes += s.text(1).size();
    auto e = event_from_json(s.text(1));
    if (!e) return broken(s.natural(0), "cannot be read: " + e.error().text);
    e->position = s.natural(0);
    events.push_back(std::move(*e));
  }
  return {};
}

result<std::optional<source_progress>> sqlite_view::read_source(const std::string& source) {
  auto s = prepared("select progress from sources where source = ?");
  if (!s) return failure(std::move(s.error()));
  const sqlite::reset_at_end end(**s);
  auto row = (*s)->bind(1, source).step();
  if (!row) return failure(std::move(row.error()));
  if (!*row) return std::optional<source_progress>();
  return progress_of(source, (*s)->text(0)).map([](source_progress p) { return std::optional(std::move(p)); });
}

result<std::map<std::string, source_progress>> sqlite_view::read_sources(std::string_view prefix) {
  auto s = prepared("select source, progress from sources where source >= ? order by source");
  if (!s) return failure(std::move(s.error()));
  const sqlite::reset_at_end end(**s);
  (*s)->bind(1, prefix);
  std::map<std::string, source_progress> found;
  for (;;) {
    auto row = (*s)->step();
    if (!row) return failure(std::move(row.error()));
    if (!*row || !(*s)->text(0).starts_with(prefix)) return found;
    if (found.size() == sources_max) return failure(too_many_sources(prefix));
    std::string source((*s)->text(0));
    auto progress = progress_of(source, (*s)->text(1));
    if (!progress) return failure(std::move(progress.error()));
    found.emplace_hint(found.end(), std::move(source), std::move(*progress));
  }
}

result<std::optional<claimed_by>> sqlite_view::find_claim(std::string_view tenant, std::string_view user_id,
                                                          std::string_view idempotency_key) {
  if (idempotency_key.empty()) return std::optional<claimed_by>();
  auto s = prepared(
      "select job_id, digest from claims where tenant = ? and user_id = ? and idempotency_key = ? and idempotency_key "
      "<> ''");
  if (!s) return failure(std::move(s.error()));
  const sqlite::reset_at_end end(**s);
  auto row = (*s)->bind(1, tenant).bind(2, user_id).bind(3, idempotency_key).step();
  if (!row) return failure(std::move(row.error()));
  if (!*row) return std::optional<claimed_by>();
  return std::optional<claimed_by>(claimed_by{std::string((*s)->text(0)), std::string((*s)->text(1))});
}

result<std::uint64_t> sqlite_view::verify(const std::function<bool(std::uint64_t)>& go_on) {
  // Head and last row are read in one snapshot; rows appended later are not looked at.
  if (auto ok = db_.run("begin"); !ok) return failure(std::move(ok.error()));
  auto last = db_.integer("select coalesce(max(position), 0) from events");
  auto end = head();
  if (auto ok = db_.run("commit"); !ok) return failure(std::move(ok.error()));
  if (!last) return failure(std::move(last.error()));
  if (!end) return failure(std::move(end.error()));
  if (static_cast<std::uint64_t>(*last) > end->position)
    return broken(end->position + 1, "was inserted behind the head of the chain");
  return verify_both(*end, go_on);
}

result<verified> sqlite_view::verify_table(chain_hasher& hasher, verified at, std::uint64_t end) {
  auto found = prepared(
      "select position, data, chain, event_id, tenant, job_id, sequence, type, time from events "
      "where position > ? and position <= ? order by position limit ?");
  if (!found) return failure(std::move(found.error()));
  sqlite::statement& s = **found;
  const sqlite::reset_at_end reset(s);
  s.bind(1, at.position).bind(2, end).bind(3, static_cast<std::uint64_t>(verify_page));
  const auto page_start = at.position;
  for (;;) {
    auto row = s.step();
    if (!row) return failure(std::move(row.error()));
    if (!*row) break;
    if (s.natural(0) != at.position + 1) return broken(at.position + 1, "is missing");
    ++at.position;
    at.hash = hasher.link(at.hash, at.position, s.text(1));
    if (!std::ranges::equal(s.blob(2), at.hash)) return broken(at.position, "was changed");
    const auto e = event_from_json(s.text(1));
    if (!e) return broken(at.position, "cannot be read: " + e.error().text);
    if (!columns_agree(s, *e)) return broken(at.position, "was changed: its columns differ from its data");
  }
  if (at.position == page_start)
    return broken(at.position + 1, "was cut off; the journal ends at " + std::to_string(end));
  return at;
}

result<void> sqlite_view::verify_kept(const segment& kept_of, const std::vector<std::string>& lines) {
  auto found = prepared(
      "select position, data, chain, event_id, tenant, job_id, sequence, type, time from events "
      "where position between ? and ?");
  if (!found) return failure(std::move(found.error()));
  sqlite::statement& s = **found;
  const sqlite::reset_at_end reset(s);
  s.bind(1, kept_of.first).bind(2, kept_of.last);
  for (;;) {
    auto row = s.step();
    if (!row) return failure(std::move(row.error()));
    if (!*row) return {};
    const std::string& line = lines[s.natural(0) - kept_of.first];
    const auto e = event_from_json(line);
    if (s.text(1) != line || !e || !columns_agree(s, *e))
      return broken(s.natural(0), "was changed: it differs from its archive");
  }
}

}  // namespace horizons::journal
