// `horizons dlq list|show|replay|park`, `horizons bridge adopt`, `horizons topics check|apply`: what an operator does
// with the bridges.
#pragma once

#include "gateways/cli/commands.hpp"

namespace horizons::cli {

/// `o` and `exit_status` outlive `app`.
void add_bridge_commands(CLI::App& app, client_options& o, int& exit_status);

}  // namespace horizons::cli
