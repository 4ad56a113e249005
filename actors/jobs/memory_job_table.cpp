#include "actors/jobs/memory_job_table.hpp"

#include <algorithm>

namespace horizons::jobs {

namespace {

bool matches(const job& j, const job_query& q) {
  const auto wanted = [](const std::string& which, std::string_view value) { return which.empty() || which == value; };
  return wanted(q.tenant, j.tenant) && wanted(q.status, to_string(j.status)) && wanted(q.user, j.user_id) &&
         wanted(q.agent, j.request.agent) && (!q.since || (j.submitted_at && *j.submitted_at >= *q.since));
}

open_job as_open(const job& j) {
  return {{j.tenant, j.job_id},
          j.status,
          j.request.priority,
          j.position,
          j.attempt,
          j.user_id,
          j.request.wants.gpus,
          j.request.wants.cpus,
          j.request.wants.walltime_s,
          std::hash<std::string>{}(j.request.dataset),
          j.request.agent};
}

}  // namespace

job* memory_job_table::find(const job_name& name) {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? nullptr : at->second;
}

result<void> memory_job_table::apply(const journal::event_list& events) {
  job* of = nullptr;  // of the event before: a job's first events stand together
  for (const auto& e : events) {
    if (e.position <= position_) continue;
    position_ = e.position;
    if (e.job_id.empty() || !is_life_cycle(e.data)) continue;
    if (!of || of->job_id != e.job_id || of->tenant != e.tenant) of = find(job_name{e.tenant, e.job_id});
    if (of) {
      of->apply(e);
    } else if (std::holds_alternative<job_submitted>(e.data)) {
      of = &rows_.emplace_back();
      of->apply(e);
      by_name_.emplace(job_name{of->tenant, of->job_id}, of);
    }
  }
  return {};
}

result<job_page> memory_job_table::list(const job_query& query) {
  const auto before = page_begin(query);
  if (!before) return failure(before.error());
  job_page page;
  auto row = std::ranges::lower_bound(rows_, *before, {}, &job::position);
  for (std::uint64_t last = 0; row != rows_.begin();) {
    const job& j = *--row;
    if (!matches(j, query)) continue;
    if (page.jobs.size() == query.page_size) {
      page.next_page_token = std::to_string(last);
      break;
    }
    page.jobs.push_back(j.view());
    last = j.position;
  }
  return page;
}

result<std::vector<open_job>> memory_job_table::open_jobs(std::uint64_t after, std::size_t limit) {
  std::vector<open_job> out;
  for (auto row = std::ranges::upper_bound(rows_, after, {}, &job::position); row != rows_.end() && out.size() < limit;
       ++row)
    if (!is_final(row->status)) out.push_back(as_open(*row));
  return out;
}

result<std::optional<job>> memory_job_table::find(const job_key& key) {
  const job* j = find(job_name{key.tenant, key.job_id});
  return j ? std::optional(*j) : std::nullopt;
}

}  // namespace horizons::jobs
