// Real servers of a test's own, which it may kill; and the third-party clients that talk to them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tests/node/program.hpp"

namespace horizons::test {

/// Runs a shell command to its end; output and exit status.
finished run_shell(const std::string& command, std::chrono::seconds limit = 120s);

/// Brokers and databases that only this test knows, on ports of their own; gone with the object.
class own_servers {
public:
  /// names: as `./dev services` knows them. `port_shift`: another one for every test that may run at the same time.
  own_servers(std::vector<std::string> names, int port_shift);
  ~own_servers();
  own_servers(const own_servers&) = delete;

  bool up() const { return problem_.empty(); }
  const std::string& problem() const { return problem_; }
  /// HORIZONS_KAFKA_BROKERS and so on; empty when not there.
  std::string operator[](const std::string& variable) const;

  /// Sends a signal to a process by its name: kafka-1, rabbitmq-3, postgres.
  void signal(const std::string& process, int number) const;
  /// Starts a killed process again, on its data.
  void restart(const std::string& process) const;

private:
  finished services(const std::string& arguments) const;

  scratch_folder folder_;
  std::vector<std::string> names_;
  int port_shift_;
  std::string problem_;
  std::map<std::string, std::string> variables_;
};

/// Whether the servers' own tests are wanted: `./dev test` starts them, `--quick` does not.
bool with_servers();

}  // namespace horizons::test
