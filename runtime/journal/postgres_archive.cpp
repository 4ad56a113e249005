// postgres_writer::archive, and what it asks of the tables.
#include <algorithm>

#include "runtime/journal/archiving.hpp"
#include "runtime/journal/postgres_array.hpp"
#include "runtime/journal/postgres_writer.hpp"

namespace horizons::journal {

namespace {

using postgres::array;
using postgres::element;
using postgres::text_of;

constexpr std::size_t page_rows = 500;  // libpq keeps a whole answer in memory; an event may have 1 MiB

class postgres_tables final : public archive_tables {
public:
  explicit postgres_tables(postgres::connection& db) : db_(db) {}

  result<std::vector<row>> rows(std::uint64_t after, std::uint64_t end) override {
    std::vector<row> found;
    std::size_t bytes = 0;
    for (;;) {
      const auto limit = std::min(page_rows, segment_events_max - found.size());
      auto page = db_.ask(
          "select position, tenant, job_id, data, encode(chain, 'hex') from events where position > $1::bigint and "
          "position < $2::bigint order by position limit $3::bigint",
          after, end, limit);
      if (!page) return failure(std::move(page.error()));
      for (const auto& from : *page) {
        if (bytes >= segment_bytes_max) return found;
        row& r = found.emplace_back(from[0].as<std::uint64_t>(), std::string(text_of(from[1])),
                                    std::string(text_of(from[2])), std::string(text_of(from[3])));
        if (!from_hexadecimal(text_of(from[4]), r.chain)) return broken(r.position, "has a damaged link");
        bytes += r.data.size();
        after = r.position;
      }
      if (page->size() < limit || found.size() >= segment_events_max) return found;
    }
  }

  result<std::set<job>> open_among(const std::set<job>& jobs) override {
    std::set<job> open;
    if (jobs.empty()) return open;
    array tenants(element::text), ids(element::text), ends(element::text);
    for (const auto& j : jobs) {
      tenants.add(j.tenant);
      ids.add(j.job_id);
    }
    for (const auto type : end_types()) ends.add(type);
    auto found = db_.ask(
        "select n.tenant, n.job_id from unnest($1::text[], $2::text[]) n(tenant, job_id) where "
        "exists(select from events e where e.job_id = n.job_id and e.tenant = n.tenant and e.sequence = 1) and not "
        "exists(select from events e where e.job_id = n.job_id and e.tenant = n.tenant and e.type = any($3::text[]))",
        tenants.parameter(), ids.parameter(), ends.parameter());
    if (!found) return failure(std::move(found.error()));
    for (const auto& from : *found) open.insert({std::string(text_of(from[0])), std::string(text_of(from[1]))});
    return open;
  }

  result<void> put(const segment& s, const std::set<std::int64_t>& job_keys) override {
    auto stored = db_.ask(
        "insert into archives(last, first, chain, data) values($1::bigint, $2::bigint, $3::bytea, $4::bytea)", s.last,
        s.first, pqxx::binarystring(s.chain.data(), s.chain.size()), pqxx::binarystring(s.data.data(), s.data.size()));
    if (!stored) return failure(std::move(stored.error()));
    array jobs(element::int8);
    for (const auto key : job_keys) jobs.add(key, 8);
    auto found = db_.ask("insert into archived_jobs select job, $2::bigint from unnest($1::bigint[]) job",
                         jobs.parameter(), s.last);
    if (!found) return failure(std::move(found.error()));
    return {};
  }

  result<std::uint64_t> erase(const std::vector<std::uint64_t>& positions, const std::set<job>& jobs,
                              std::uint64_t last) override {
    array gone(element::int8), tenants(element::text), ids(element::text);
    for (const auto position : positions) gone.add(static_cast<std::int64_t>(position), 8);
    for (const auto& j : jobs) {
      tenants.add(j.tenant);
      ids.add(j.job_id);
    }
    auto singles = db_.ask("delete from events where position = any($1::bigint[])", gone.parameter());
    if (!singles) return failure(std::move(singles.error()));
    auto of_jobs = db_.ask(
        "delete from events e using unnest($1::text[], $2::text[]) n(tenant, job_id) where e.job_id = n.job_id and "
        "e.tenant = n.tenant and e.position <= $3::bigint",
        tenants.parameter(), ids.parameter(), last);
    if (!of_jobs) return failure(std::move(of_jobs.error()));
    return singles->affected_rows() + of_jobs->affected_rows();
  }

private:
  postgres::connection& db_;
};

}  // namespace

result<archived> postgres_writer::archive(timestamp before, std::uint64_t up_to) {
  auto done = view_.archived_to();
  if (!done) return failure(std::move(done.error()));
  auto young = view_.first_since(before);
  if (!young) return failure(std::move(young.error()));
  postgres_tables tables(*db_);
  const auto in_transaction = [&]() -> result<archived> {
    if (auto ok = db_->run("begin"); !ok) return failure(std::move(ok.error()));
    auto step = archive_step(tables, *done, archive_end(*young, up_to, head_.position));
    if (!step) return step;
    if (auto ok = db_->run("commit"); !ok) return failure(std::move(ok.error()));
    return step;
  };
  auto step = in_transaction();
  if (!step && !db_->lost()) (void)db_->run("rollback");
  return step;
}

}  // namespace horizons::journal
