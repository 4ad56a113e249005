// Finds out what has to go on after an actor was restarted. Everything is in the journal and the job table; the care is
// in reading them late enough.
#pragma once

#include <cstdint>
#include <functional>

#include "actors/jobs/job_table.hpp"

namespace horizons::jobs {

/// Whom to ask. Shard and epoch: those of a shard that this node owns.
struct open_jobs_source {
  std::uint32_t shard = 0;
  std::uint64_t epoch = 0;
  kit::handle<journal::writer_api> writer;
  kit::handle<job_table_api> table;
};

/// Appends nothing and tells `then` when that is done: whatever actors that have ended since had sent to the writer is
/// then committed or refused. Tries until the journal answers.
void settle_appends(kit::context& self, const open_jobs_source& from, std::function<void()> then);

/// Tells `each` of every unfinished job, appends of actors that have ended included, in order of position; then `done`.
/// Tries until journal and table answer.
void for_each_open_job(
    kit::context& self, const open_jobs_source& from, std::function<void(const open_job&)> each,
    std::function<void()> done = [] {});

}  // namespace horizons::jobs
