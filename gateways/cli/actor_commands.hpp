// `horizons actor list|inspect|kill|restart|drain` and `horizons top`: what an operator sees of and does to actors.
#pragma once

#include "gateways/cli/commands.hpp"

namespace horizons::cli {

/// `o` and `exit_status` outlive `app`.
void add_actor_commands(CLI::App& app, client_options& o, int& exit_status);

}  // namespace horizons::cli
