// `horizons replay` and `horizons audit verify`: the journal's events once more, and whether they are still the same.
#pragma once

#include "gateways/cli/commands.hpp"
#include "messages/events.hpp"

namespace horizons::cli {

/// How a job's state is made from its events: what jobs are is not known here.
struct job_rebuild {
  std::function<void(const event&)> apply;
  std::function<json()> view;  // null: no event was of a job
};

/// `o` and `exit_status` outlive `app`.
void add_journal_commands(CLI::App& app, client_options& o, job_rebuild rebuild, int& exit_status);

}  // namespace horizons::cli
