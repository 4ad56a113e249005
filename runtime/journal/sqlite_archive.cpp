// sqlite_writer::archive, and what it asks of the tables.
#include <algorithm>

#include "runtime/journal/archiving.hpp"
#include "runtime/journal/sqlite_writer.hpp"

namespace horizons::journal {

namespace {

/// Statements are prepared anew in every step: there is one in some thousand events.
class sqlite_tables final : public archive_tables {
public:
  explicit sqlite_tables(sqlite::connection& db) : db_(db) {}

  result<std::vector<row>> rows(std::uint64_t after, std::uint64_t end) override {
    auto read = db_.prepare(
        "select position, tenant, job_id, data, chain from events where position > ? and position < ? order by "
        "position limit ?");
    if (!read) return failure(std::move(read.error()));
    read->bind(1, after).bind(2, end).bind(3, std::uint64_t{segment_events_max});
    std::vector<row> found;
    for (std::size_t bytes = 0; bytes < segment_bytes_max; bytes += found.back().data.size()) {
      auto there = read->step();
      if (!there) return failure(std::move(there.error()));
      if (!*there) break;
      row& r = found.emplace_back(read->natural(0), std::string(read->text(1)), std::string(read->text(2)),
                                  std::string(read->text(3)));
      if (read->blob(4).size() == r.chain.size()) std::ranges::copy(read->blob(4), r.chain.begin());
    }
    return found;
  }

  result<std::set<job>> open_among(const std::set<job>& jobs) override {
    std::string ends;
    for (const auto type : end_types()) (ends += ends.empty() ? "'" : ", '").append(type) += "'";
    auto ask = db_.prepare(
        "select exists(select 1 from events where job_id = ?1 and tenant = ?2 and sequence = 1) and not exists("
        "select 1 from events where job_id = ?1 and tenant = ?2 and type in (" +
        ends + "))");
    if (!ask) return failure(std::move(ask.error()));
    std::set<job> open;
    for (const auto& j : jobs) {
      const sqlite::reset_at_end end(*ask);
      if (auto row = ask->bind(1, j.job_id).bind(2, j.tenant).step(); !row) return failure(std::move(row.error()));
      if (ask->integer(0) != 0) open.insert(j);
    }
    return open;
  }

  result<void> put(const segment& s, const std::set<std::int64_t>& job_keys) override {
    auto archive = db_.prepare("insert into archives(last, first, chain, data) values(?, ?, ?, ?)");
    if (!archive) return failure(std::move(archive.error()));
    const std::span data(reinterpret_cast<const std::uint8_t*>(s.data.data()), s.data.size());
    if (auto ok = archive->bind(1, s.last).bind(2, s.first).bind(3, s.chain).bind(4, data).run(); !ok) return ok;
    auto job = db_.prepare("insert into archived_jobs values(?, ?)");
    if (!job) return failure(std::move(job.error()));
    for (const auto key : job_keys)
      if (auto ok = job->bind(1, key).bind(2, s.last).run(); !ok) return ok;
    return {};
  }

  result<std::uint64_t> erase(const std::vector<std::uint64_t>& positions, const std::set<job>& jobs,
                              std::uint64_t last) override {
    auto one = db_.prepare("delete from events where position = ?");
    if (!one) return failure(std::move(one.error()));
    auto all = db_.prepare("delete from events where job_id = ? and tenant = ? and position <= ?");
    if (!all) return failure(std::move(all.error()));
    std::uint64_t removed = 0;
    for (const auto position : positions) {
      if (auto ok = one->bind(1, position).run(); !ok) return failure(std::move(ok.error()));
      removed += db_.changes();
    }
    for (const auto& j : jobs) {
      if (auto ok = all->bind(1, j.job_id).bind(2, j.tenant).bind(3, last).run(); !ok)
        return failure(std::move(ok.error()));
      removed += db_.changes();
    }
    return removed;
  }

private:
  sqlite::connection& db_;
};

}  // namespace

result<archived> sqlite_writer::archive(timestamp before, std::uint64_t up_to) {
  auto done = view_.archived_to();
  if (!done) return failure(std::move(done.error()));
  auto young = view_.first_since(before);
  if (!young) return failure(std::move(young.error()));
  sqlite_tables tables(db_);
  archived step;
  const auto ok = in_transaction([&] {
    return archive_step(tables, *done, archive_end(*young, up_to, head_.position)).map([&](archived a) { step = a; });
  });
  if (!ok) return failure(ok.error());
  return step;
}

}  // namespace horizons::journal
