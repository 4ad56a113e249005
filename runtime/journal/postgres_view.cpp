#include "runtime/journal/postgres_view.hpp"

#include <algorithm>
#include <limits>

#include "messages/codec/json.hpp"
#include "messages/text.hpp"
#include "runtime/journal/postgres_append.hpp"
#include "runtime/journal/postgres_array.hpp"

namespace horizons::journal {

namespace {

using postgres::array;
using postgres::element;
using postgres::text_of;
using postgres::time_block_bits;

constexpr std::uint64_t position_max = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t verify_page = 1'000;
constexpr std::size_t read_page = 1'000;  // libpq keeps a whole answer in memory; an event may have 1 MiB
constexpr std::size_t large_page = 60;    // after a page with large ones
constexpr std::string_view verified_columns =
    "position, data, encode(chain, 'hex') as chain, replace(event_id::text, '-', '') as event_id, tenant, job_id, "
    "sequence, type, time";

std::int64_t ms_of(timestamp t) { return t.time_since_epoch().count(); }

std::string hexadecimal_of(const ulid_bytes& id) {
  chain_hash wide{};
  std::ranges::copy(id, wide.begin());
  return hexadecimal(wide).substr(0, 2 * id.size());
}

/// Whether the columns that queries use say the same as the event itself.
bool columns_agree(const pqxx::row& row, const event& e) {
  return text_of(row["event_id"]) == hexadecimal_of(bytes_of_ulid(e.event_id)) && text_of(row["tenant"]) == e.tenant &&
         row["job_id"].is_null() == e.job_id.empty() && text_of(row["job_id"]) == e.job_id &&
         row["sequence"].as<std::uint64_t>(0) == e.sequence && text_of(row["type"]) == type_of(e.data) &&
         row["time"].as<std::int64_t>() == ms_of(e.time);
}

result<std::map<std::string, source_progress>> sources_of(const pqxx::result& rows) {
  std::map<std::string, source_progress> found;
  for (const auto& row : rows) {
    std::string source(text_of(row[0]));
    auto progress = progress_of(source, text_of(row[1]));
    if (!progress) return failure(std::move(progress.error()));
    found.emplace_hint(found.end(), std::move(source), std::move(*progress));
  }
  return found;
}

struct query {
  std::string sql;
  std::vector<std::string> parameters;
};

/// Where to look: a job's events are few, so they are found by the job and sorted; the planner, which does not know how
/// few, would rather walk the whole table in order.
query query_of(const event_filter& f, std::int64_t first, std::int64_t end, std::size_t limit) {
  query q;
  const auto parameter = [&](std::string value, const char* type) {
    q.parameters.push_back(std::move(value));
    return "$" + std::to_string(q.parameters.size()) + "::" + type;
  };
  std::string where = "position >= " + parameter(std::to_string(first), "bigint") + " and position < " +
                      parameter(std::to_string(end), "bigint");
  if (!f.job_id.empty()) where += " and job_id = " + parameter(f.job_id, "text");
  if (!f.tenant.empty()) where += " and tenant = " + parameter(f.tenant, "text");
  if (!f.type.empty()) where += " and type = " + parameter(f.type, "text");
  if (f.start) where += " and time >= " + parameter(std::to_string(ms_of(*f.start)), "bigint");
  if (f.end) where += " and time < " + parameter(std::to_string(ms_of(*f.end)), "bigint");
  const std::string page = " order by position limit " + parameter(std::to_string(limit), "bigint");
  if (f.job_id.empty())
    q.sql = "select position, data from events where " + where + page;
  else
    q.sql = "with found as materialized (select position from events where " + where +
            ") select position, data from (select position from found" + page +
            ") f join events using (position) order by position";
  return q;
}

}  // namespace

result<std::string> postgres_view::journal_id() {
  auto found = db_.ask("select value from meta where name = 'journal_id'");
  if (!found) return failure(std::move(found.error()));
  if (found->empty()) return failure(error_code::unreadable, "journal: the row meta.journal_id is missing");
  return std::string(text_of((*found)[0][0]));
}

result<chain_state> postgres_view::head() {
  auto found = db_.ask("select count, position, encode(hash, 'hex') from chain_head");
  if (!found) return failure(std::move(found.error()));
  chain_state head;
  if (found->size() != 1 || !from_hexadecimal(text_of((*found)[0][2]), head.hash))
    return failure(error_code::unreadable, "journal: the head of the hash chain is missing or damaged");
  head.count = (*found)[0][0].as<std::uint64_t>();
  head.position = (*found)[0][1].as<std::uint64_t>();
  return head;
}

result<std::uint64_t> postgres_view::size_bytes() {
  auto found = db_.ask(
      "select coalesce(sum(pg_total_relation_size(oid)), 0)::bigint from pg_class where relkind = 'r' and "
      "relnamespace = current_schema()::regnamespace");
  if (!found) return failure(std::move(found.error()));
  return (*found)[0][0].as<std::uint64_t>();
}

result<postgres_view::bounds> postgres_view::bounds_of(const event_filter& filter) {
  bounds b;
  b.first = static_cast<std::int64_t>(filter.after_position < position_max ? filter.after_position + 1 : position_max);
  b.end = static_cast<std::int64_t>(std::min(filter.before_position.value_or(position_max), position_max));
  if (filter.start) {
    auto found = db_.ask(
        "select block from time_ranges where block >= $1::bigint and time_max >= $2::bigint order by block limit 1",
        b.first >> time_block_bits, ms_of(*filter.start));
    if (!found) return failure(std::move(found.error()));
    b.first = found->empty() ? b.end : std::max(b.first, (*found)[0][0].as<std::int64_t>() << time_block_bits);
  }
  if (filter.end && b.first < b.end) {
    auto found = db_.ask(
        "select block from time_ranges where block >= $1::bigint and time_min < $2::bigint order by block desc limit 1",
        b.first >> time_block_bits, ms_of(*filter.end));
    if (!found) return failure(std::move(found.error()));
    b.end = found->empty() ? b.first : std::min(b.end, ((*found)[0][0].as<std::int64_t>() + 1) << time_block_bits);
  }
  return b;
}

result<std::vector<event>> postgres_view::read(const event_filter& filter, std::size_t limit) {
  if (auto ok = admit(filter, limit); !ok) return failure(std::move(ok.error()));
  auto span = bounds_of(filter);
  if (!span) return failure(std::move(span.error()));
  if (span->first >= span->end) return std::vector<event>();
  return read_both(filter, static_cast<std::uint64_t>(span->first), static_cast<std::uint64_t>(span->end), limit);
}

result<std::uint64_t> postgres_view::archived_to() {
  auto found = db_.ask("select coalesce(max(last), 0) from archives");
  if (!found) return failure(std::move(found.error()));
  return (*found)[0][0].as<std::uint64_t>();
}

result<std::uint64_t> postgres_view::first_since(timestamp before) {
  auto archived = archived_to();
  if (!archived) return archived;
  auto found = db_.ask(
      "select block from time_ranges where block >= $1::bigint and time_max >= $2::bigint order by block limit 1",
      *archived >> time_block_bits, ms_of(before));
  if (!found) return failure(std::move(found.error()));
  return found->empty() ? position_max : (*found)[0][0].as<std::uint64_t>() << time_block_bits;
}

result<std::optional<segment>> postgres_view::segment_from(std::uint64_t position, const std::string& job_id) {
  auto found =
      job_id.empty()
          ? db_.ask(
                "select first, last, encode(chain, 'hex'), data from archives where last >= $1::bigint order by "
                "last limit 1",
                position)
          : db_.ask(
                "select first, last, encode(chain, 'hex'), data from archived_jobs join archives using (last) "
                "where job = $2::bigint and last >= $1::bigint order by last limit 1",
                position, archive_key(job_id));
  if (!found) return failure(std::move(found.error()));
  if (found->empty()) return std::optional<segment>();
  const auto row = (*found)[0];
  segment s{.first = row[0].as<std::uint64_t>(), .last = row[1].as<std::uint64_t>()};
  (void)from_hexadecimal(text_of(row[2]), s.chain);  // a damaged one fits no chain
  s.data = pqxx::binarystring(row[3]).str();
  return std::optional(std::move(s));
}

result<bool> postgres_view::in_table(const std::string& tenant, const std::string& job_id) {
  return db_.ask("select from events where job_id = $1::text and tenant = $2::text and sequence = 1", job_id, tenant)
      .map([](const pqxx::result& rows) { return !rows.empty(); });
}

result<void> postgres_view::read_table(const event_filter& filter, std::uint64_t first, std::uint64_t end,
                                       std::size_t limit, std::vector<event>& events, std::size_t& bytes) {
  std::size_t page = read_page;
  while (first < end && events.size() < limit && bytes < read_bytes_max) {
    page = std::min(page, limit - events.size());
    const auto q = query_of(filter, static_cast<std::int64_t>(first), static_cast<std::int64_t>(end), page);
    auto rows = db_.ask(q.sql, pqxx::prepare::make_dynamic_params(q.parameters));
    if (!rows) return failure(std::move(rows.error()));
    const auto before = bytes;
    for (const auto& row : *rows) {
      if (bytes >= read_bytes_max) return {};
      const auto position = row[0].as<std::uint64_t>();
      bytes += row[1].size();
      auto e = event_from_json(text_of(row[1]));
      if (!e) return broken(position, "cannot be read: " + e.error().text);
      e->position = position;
      events.push_back(std::move(*e));
    }
    if (rows->size() < page) return {};
    first = events.back().position + 1;
    page = bytes - before > (std::size_t{4} << 20) ? large_page : read_page;
  }
  return {};
}

result<std::map<std::string, source_progress>> postgres_view::read_these(const std::vector<std::string>& sources) {
  array names(element::text);
  for (const auto& source : sources) names.add(source);
  auto rows =
      db_.ask("select source, progress from sources where source = any($1::text[]) order by source", names.parameter());
  if (!rows) return failure(std::move(rows.error()));
  return sources_of(*rows);
}

result<std::map<std::string, source_progress>> postgres_view::read_sources(std::string_view prefix) {
  if (!text_fault(prefix).empty()) return std::map<std::string, source_progress>();
  auto rows = db_.ask(
      "select source, progress from sources where starts_with(source, $1::text) order by source limit $2::bigint",
      std::string(prefix), sources_max + 1);
  if (!rows) return failure(std::move(rows.error()));
  if (rows->size() > sources_max) return failure(too_many_sources(prefix));
  return sources_of(*rows);
}

result<std::optional<claimed_by>> postgres_view::find_claim(std::string_view tenant, std::string_view user_id,
                                                            std::string_view idempotency_key) {
  if (idempotency_key.empty()) return std::optional<claimed_by>();
  for (const auto text : {tenant, user_id, idempotency_key})
    if (!text_fault(text).empty()) return std::optional<claimed_by>();  // nothing like it was ever stored
  auto rows = db_.ask(
      "select job_id, digest from claims where tenant = $1::text and user_id = $2::text and idempotency_key = $3::text "
      "and idempotency_key <> ''",
      std::string(tenant), std::string(user_id), std::string(idempotency_key));
  if (!rows) return failure(std::move(rows.error()));
  if (rows->empty()) return std::optional<claimed_by>();
  const auto row = (*rows)[0];
  return std::optional(claimed_by{std::string(text_of(row[0])), std::string(text_of(row[1]))});
}

result<std::uint64_t> postgres_view::verify(const std::function<bool(std::uint64_t)>& go_on) {
  // Head and last row in one snapshot; rows appended later are not looked at.
  auto ends = db_.ask(
      "select count, position, encode(hash, 'hex'), (select coalesce(max(position), 0) from events) from chain_head");
  if (!ends) return failure(std::move(ends.error()));
  chain_state end;
  if (ends->size() != 1 || !from_hexadecimal(text_of((*ends)[0][2]), end.hash))
    return failure(error_code::unreadable, "journal: the head of the hash chain is missing or damaged");
  end.count = (*ends)[0][0].as<std::uint64_t>();
  end.position = (*ends)[0][1].as<std::uint64_t>();
  if ((*ends)[0][3].as<std::uint64_t>() > end.position)
    return broken(end.position + 1, "was inserted behind the head of the chain");
  return verify_both(end, go_on);
}

result<verified> postgres_view::verify_table(chain_hasher& hasher, verified at, std::uint64_t end) {
  auto rows = db_.ask("select " + std::string(verified_columns) +
                          " from events where position > $1::bigint and position <= $2::bigint order by position "
                          "limit $3::bigint",
                      at.position, end, verify_page);
  if (!rows) return failure(std::move(rows.error()));
  if (rows->empty()) return broken(at.position + 1, "was cut off; the journal ends at " + std::to_string(end));
  for (const auto& row : *rows) {
    if (row[0].as<std::uint64_t>() != at.position + 1) return broken(at.position + 1, "is missing");
    ++at.position;
    at.hash = hasher.link(at.hash, at.position, text_of(row[1]));
    if (text_of(row[2]) != hexadecimal(at.hash)) return broken(at.position, "was changed");
    const auto e = event_from_json(text_of(row[1]));
    if (!e) return broken(at.position, "cannot be read: " + e.error().text);
    if (!columns_agree(row, *e)) return broken(at.position, "was changed: its columns differ from its data");
  }
  return at;
}

result<void> postgres_view::verify_kept(const segment& s, const std::vector<std::string>& lines) {
  auto rows = db_.ask("select " + std::string(verified_columns) +
                          " from events where position between $1::bigint and $2::bigint order by position",
                      s.first, s.last);
  if (!rows) return failure(std::move(rows.error()));
  for (const auto& row : *rows) {
    const auto position = row[0].as<std::uint64_t>();
    const std::string& line = lines[position - s.first];
    const auto e = event_from_json(line);
    if (text_of(row[1]) != line || !e || !columns_agree(row, *e))
      return broken(position, "was changed: it differs from its archive");
  }
  return {};
}

}  // namespace horizons::journal
