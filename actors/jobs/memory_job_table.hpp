// The job table of a journal in memory: its rows are the folded jobs themselves.
#pragma once

#include <deque>
#include <unordered_map>

#include "actors/jobs/job_table.hpp"

namespace horizons::jobs {

/// Grows with every job and ends with the process, as its journal does. Nothing to write: `written` is `position`.
class memory_job_table final : public job_table {
public:
  std::uint64_t position() const override { return position_; }
  std::uint64_t written() const override { return position_; }
  result<void> apply(const journal::event_list& events) override;
  result<void> write() override { return {}; }
  result<bool> write_some() override { return false; }

  result<job_page> list(const job_query& query) override;
  result<std::vector<open_job>> open_jobs(std::uint64_t after, std::size_t limit) override;
  result<std::optional<job>> find(const job_key& key) override;

private:
  job* find(const job_name& name);

  std::uint64_t position_ = 0;
  std::deque<job> rows_;                                      // by position: jobs come in its order
  std::unordered_map<job_name, job*, job_key_hash> by_name_;  // names and jobs in rows_
};

}  // namespace horizons::jobs
