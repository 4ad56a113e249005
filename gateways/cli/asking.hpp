// What the sub-commands share: asking the node that the options name, and showing its answer or its refusal.
#pragma once

#include <functional>
#include <string>

#include "gateways/cli/client.hpp"
#include "gateways/cli/commands.hpp"
#include "runtime/config/config.hpp"

namespace horizons::cli {

/// The client for the options' node. The token: --token, else HORIZONS_TOKEN, else the one of <data_dir>.
client client_of(const client_options& o);

/// Says what went wrong; the exit status: 2 for bad arguments, else 1.
int fail(const error& e);

/// What the options and their sources configure; warnings are logged.
result<configuration> read_configuration(const client_options& o);

/// The member as text; empty when absent or null.
std::string shown(const json& object, const char* name);

/// The body as an object, or a failure that says what may be wrong.
result<json> object_of(const answer& a);

/// Asks, and shows the answer with `show`, or as it is with --json; the exit status. `what` was being done.
int ask_and_show(const client_options& o, const std::string& what, const std::string& method, const std::string& path,
                 const std::string& body, const std::function<void(const json&)>& show);

}  // namespace horizons::cli
