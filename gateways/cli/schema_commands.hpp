// `horizons schema check|register`: the Avro schemas of the messages, against their history and at a registry.
#pragma once

#include "gateways/cli/commands.hpp"

namespace horizons::cli {

/// `o` and `exit_status` outlive `app`.
void add_schema_commands(CLI::App& app, client_options& o, int& exit_status);

}  // namespace horizons::cli
