// Real servers of a test's own, which it may kill: started by ./dev services in a folder and on ports of their own, and
// gone with the object.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace horizons::test {

/// What is added to every port. Held by one process of this machine at a time.
class port_shift {
public:
  port_shift() {
    const auto begin = std::random_device{}();
    for (unsigned i = 0; i < choices && lock_ < 0; ++i) {
      value_ = 100 + static_cast<int>((begin + i) % choices) * 10;
      const auto file = std::filesystem::temp_directory_path() / ("horizons-ports-" + std::to_string(value_));
      lock_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
      if (lock_ >= 0 && (::flock(lock_, LOCK_EX | LOCK_NB) != 0 || !all_free())) ::close(std::exchange(lock_, -1));
    }
  }
  ~port_shift() {
    if (lock_ >= 0) ::close(lock_);
  }
  port_shift(const port_shift&) = delete;
  bool found() const { return lock_ >= 0; }
  int value() const { return value_; }

private:
  static constexpr unsigned choices = 80;
  bool all_free() const {
    return std::ranges::all_of(
        std::array{19'091, 19'092, 19'093, 19'094, 20'091, 20'092, 20'093, 15'432, 15'671, 25'671},
        [this](int port) { return is_free(port + value_); });
  }
  static bool is_free(int port) {
    const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool yes = ::bind(s, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(s);
    return yes;
  }
  int value_ = 0, lock_ = -1;
};

class own_servers {
public:
  /// names: as `./dev services` knows them.
  explicit own_servers(const std::vector<std::string>& names) {
    std::string home = (std::filesystem::temp_directory_path() / "horizons-servers-XXXXXX").string();
    home_ = ::mkdtemp(home.data());
    for (const auto& name : names) names_ += " " + name;
    if (!shift_.found()) {
      problem_ = "no ports are free";
      return;
    }
    if (const auto [status, said] = services("up" + names_); status != 0) {
      problem_ = said;
      return;
    }
    std::istringstream lines(services("env" + names_).second);
    for (std::string line; std::getline(lines, line);) {  // export NAME='value'
      const auto from = line.find(' ') + 1, equals = line.find('=');
      if (equals != std::string::npos)
        variables_[line.substr(from, equals - from)] = line.substr(equals + 2, line.size() - equals - 3);
    }
  }
  ~own_servers() {
    services("down" + names_);
    std::error_code ignored;
    std::filesystem::remove_all(home_, ignored);
  }
  own_servers(const own_servers&) = delete;

  bool up() const { return problem_.empty(); }
  const std::string& problem() const { return problem_; }
  const std::filesystem::path& home() const { return home_; }
  /// HORIZONS_KAFKA_BROKERS and so on; empty when not there.
  std::string operator[](const std::string& variable) const {
    const auto at = variables_.find(variable);
    return at == variables_.end() ? "" : at->second;
  }

  /// Sends a signal to a process by its name: kafka-1, rabbitmq-3, postgres.
  void signal(const std::string& process, int number) const {
    std::ifstream in(home_ / (process + ".pid"));
    pid_t pid = 0;
    if (in >> pid && pid > 1) ::kill(-pid, number);  // it leads a group of its own
  }
  /// `services node rabbitmq N ORDER` (kill, freeze, partition …); what it complained of, or empty.
  std::string rabbitmq_node(int n, const std::string& order) const {
    return services("node rabbitmq " + std::to_string(n) + " " + order).second;
  }
  /// Kills it, if it still runs, and starts it again on its data.
  bool restart(const std::string& process) const { return services("restart " + process).first == 0; }

private:
  /// Exit status and what it said.
  std::pair<int, std::string> services(const std::string& arguments) const {
    const auto command = "HORIZONS_SERVICES_HOME='" + home_.string() +
                         "' HORIZONS_SERVICES_PORT_SHIFT=" + std::to_string(shift_.value()) +
                         " '" HORIZONS_SOURCE_DIR "/tests/services/services' " + arguments + " 2>&1";
    std::string said;
    FILE* pipe = ::popen(command.c_str(), "r");
    if (!pipe) return {-1, "the shell could not be started"};
    char part[4096];
    while (const auto n = std::fread(part, 1, sizeof part, pipe)) said.append(part, n);
    return {::pclose(pipe), said};
  }

  port_shift shift_;
  std::filesystem::path home_;
  std::string names_, problem_;
  std::map<std::string, std::string> variables_;
};

}  // namespace horizons::test
