// One attempt of a job on the device's thread: find the dataset, let the agent work in a folder of its own, make the
// results durable under their final name. Knows no actor and writes no event.
//
// An attempt works in results/.<job>.attempt-N; only when every file is synced is the folder renamed to
// results/<job>. The job's completion is recorded after that. So a results folder without its event is the trace of an
// attempt that did not come that far, and is removed. results/.<job>.checkpoint stays from attempt to attempt until the
// job has ended.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "actors/agents/agent.hpp"
#include "actors/jobs/job.hpp"
#include "gpu/progress.hpp"
#include "messages/events.hpp"
#include "messages/result.hpp"

namespace horizons::jobs {

struct attempt_request {
  std::string tenant, job_id, agent, dataset;
  json params = json::object();
  int attempt = 1;
  std::filesystem::path results_root;
  std::vector<std::string> allow;  // prefixes of file:// URIs that may be read; empty: all
};

struct attempt_outcome {
  std::vector<result_file> results;
  json metrics = json::object();
  double duration_s = 0;
};

/// Where a job's results lie: <root>/<job>, for tenants other than "default" <root>/@<tenant>/<job>.
std::filesystem::path results_folder(const std::filesystem::path& root, const std::string& tenant,
                                     const std::string& job_id);

/// The local path a dataset URI names: "file:///path", "file:path" or a plain path. Errors name the URI and what would
/// be right.
result<std::filesystem::path> local_dataset(const std::string& uri, const std::vector<std::string>& allow);

/// Whether `local_dataset` may find it: what can be said without looking at the disk. Where everything may be read,
/// only an attempt looks.
result<void> check_dataset(const std::string& uri, const std::vector<std::string>& allow);

/// Runs the agent and publishes its results. Exceptions of the agent become `internal` errors.
result<attempt_outcome> run_attempt(const attempt_request& request, std::stop_token stop,
                                    const gpu::progress_sink& progress);

/// Removes published results and the leftovers of attempts 1 … `attempts`, whose outcome does not count.
void discard(const std::filesystem::path& results_root, const std::string& tenant, const std::string& job_id,
             int attempts);

/// Whether there is such an agent and it does.
bool keeps_checkpoints(const std::string& agent);

/// Removes what attempts of this job have kept for the next one.
void discard_checkpoint(const std::filesystem::path& results_root, const std::string& tenant,
                        const std::string& job_id);

/// At start: removes every results folder whose job is not completed, every attempt's folder, and the checkpoints of
/// jobs that have ended; `job_status::none`: there is no such job. Nothing is removed of a job whose status cannot be
/// told. Returns how many.
std::size_t sweep_results(
    const std::filesystem::path& results_root,
    const std::function<std::optional<job_status>(const std::string& tenant, const std::string& job_id)>& status_of);

}  // namespace horizons::jobs
