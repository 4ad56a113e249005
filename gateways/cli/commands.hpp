// The sub-commands that talk to a node: submit, jobs, job, cancel, pause, resume, retry, events, tree, dlq, bridge; and
// `config check`. They print to standard output, mistakes to standard error.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "messages/events.hpp"
#include "runtime/config/config.hpp"

namespace horizons::cli {

/// What every sub-command takes.
struct client_options {
  std::string node = "http://127.0.0.1:8080";
  bool json = false;
  std::string token;
  std::optional<std::string> config;
  std::vector<std::string> set;
};

/// Exit statuses of the program.
inline constexpr int done = 0, failed = 1, bad_arguments = 2, unreachable = 3, interrupted = 130;

/// --node, --json, --token, --config, --set; accepted before and after a sub-command.
void add_global_options(CLI::App& app, client_options& o);

/// Adds the sub-commands; the one that is called sets `exit_status`. `o` and `exit_status` outlive `app`.
void add_client_commands(CLI::App& app, client_options& o, int& exit_status);

/// The agent's parameters from "name=value" texts; values are JSON, or else texts.
result<json> parse_params(const std::vector<std::string>& params);

/// What --config, the environment and --set say together.
config_sources sources_of(const client_options& o);

/// Parses and runs; the exit status (`bad_arguments` for what CLI11 refuses; help and version are 0).
int run(CLI::App& app, int argc, const char* const* argv, const int& exit_status);

}  // namespace horizons::cli
