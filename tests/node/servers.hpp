// The third-party clients that talk to a test's own servers.
#pragma once

#include <string>

#include "tests/node/program.hpp"
#include "tests/services/own_servers.hpp"

namespace horizons::test {

/// Runs a shell command to its end; output and exit status.
finished run_shell(const std::string& command, std::chrono::seconds limit = 120s);

/// Whether the servers' own tests are wanted: `./dev test` starts them, `--quick` does not.
bool with_servers();

}  // namespace horizons::test
