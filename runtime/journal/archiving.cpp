#include "runtime/journal/archiving.hpp"

#include "runtime/journal/admission.hpp"

namespace horizons::journal {

result<archived> archive_step(archive_tables& tables, std::uint64_t archived_to, std::uint64_t end) {
  auto rows = tables.rows(archived_to, end);
  if (!rows) return failure(std::move(rows.error()));
  if (rows->empty()) return archived{};

  segment s{.first = archived_to + 1, .last = archived_to};
  std::vector<std::string> lines;
  std::set<archive_tables::job> jobs;
  std::set<std::int64_t> keys;
  std::vector<std::uint64_t> beside_jobs;
  for (auto& r : *rows) {
    if (r.position != s.last + 1) return broken(s.last + 1, "is missing: nothing behind it is archived");
    s.last = r.position;
    s.chain = r.chain;
    lines.push_back(std::move(r.data));
    if (r.job_id.empty()) {
      beside_jobs.push_back(r.position);
    } else {
      keys.insert(archive_key(r.job_id));
      jobs.insert({std::move(r.tenant), std::move(r.job_id)});
    }
  }
  s.data = pack(lines);
  if (auto ok = tables.put(s, keys); !ok) return failure(std::move(ok.error()));
  auto open = tables.open_among(jobs);
  if (!open) return failure(std::move(open.error()));
  for (const auto& j : *open) jobs.erase(j);
  return tables.erase(beside_jobs, jobs, s.last).map([&](std::uint64_t removed) {
    return archived{s.first, s.last, removed};
  });
}

}  // namespace horizons::journal
