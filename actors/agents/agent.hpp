// What an agent is: a named piece of science that turns a dataset into result files. Knows nothing of actors:
// jobs run it on a device's worker thread, `horizons agent` runs it here and now.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "gpu/progress.hpp"
#include "messages/events.hpp"
#include "messages/result.hpp"

namespace horizons::agents {

struct agent_input {
  std::string job_id;
  std::filesystem::path dataset;  // a local file or folder; fetching remote data is done before
  std::string dataset_uri;        // as the user named it
  json params = json::object();   // already checked by `check`
  std::filesystem::path out_dir;  // exists and is empty; everything written here becomes a result
  /// Exists and stays from attempt to attempt (checkpoint.hpp); empty: there will be no other attempt.
  std::filesystem::path checkpoint_dir{};
};

struct agent_output {
  json metrics = json::object();  // figures for job.completed: rms, dynamic range, timings
};

/// One agent. Immutable and thread safe.
class agent {
public:
  virtual ~agent() = default;

  virtual std::string_view name() const = 0;
  virtual std::string_view summary() const = 0;

  /// JSON Schema (draft 2020-12) of the parameters, with defaults and units in the descriptions.
  virtual json parameter_schema() const = 0;

  /// Whether `run` keeps checkpoints: such a job may be asked to give way to a more urgent one.
  virtual bool keeps_checkpoints() const { return false; }

  /// Refuses unknown or impossible parameters before anything runs; the error names the parameter, the value and
  /// what would be right.
  virtual result<void> check(const json& params) const = 0;

  /// Does the work on the calling thread and gpu::parallel_for. Polls `stop` at least every 100 ms and then fails
  /// with `cancelled`. Error codes: unreadable / not_found / invalid_argument are the dataset's or the parameters'
  /// fault and never retried; io and unavailable may be.
  virtual result<agent_output> run(const agent_input& input, std::stop_token stop,
                                   const gpu::progress_sink& progress) const = 0;
};

/// All agents of this build, in the order they are listed.
std::span<const std::unique_ptr<const agent>> all_agents();

/// nullptr when there is none of that name.
const agent* find_agent(std::string_view name);

}  // namespace horizons::agents
