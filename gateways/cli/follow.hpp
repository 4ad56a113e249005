// Watches one job to its end: a progress bar on a terminal, lines elsewhere; reconnects without losing an event.
#pragma once

#include <ostream>
#include <string>

#include "gateways/cli/client.hpp"

namespace horizons::cli {

/// The exit status: done when COMPLETED, failed otherwise, unreachable when the node stays away for 30 s, interrupted
/// by Ctrl-C (the job goes on, and that is said). With `as_json` every event is one line.
int follow(const client& c, const std::string& job_id, std::ostream& out, bool as_json);

/// The exit status that goes with a refusal or a failure, its text on `err`. `what` was being done.
int report(const result<answer>& a, const std::string& what, std::ostream& err);

}  // namespace horizons::cli
