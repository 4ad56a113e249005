#include "tests/node/servers.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace horizons::test {
namespace {

std::string content_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

finished run_shell(const std::string& command, std::chrono::seconds limit) {
  const scratch_folder folder;
  const auto out = folder / "out", err = folder / "err";
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::setpgid(0, 0);
    ::dup2(::open("/dev/null", O_RDONLY), 0);
    ::dup2(::open(out.c_str(), O_CREAT | O_WRONLY, 0600), 1);
    ::dup2(::open(err.c_str(), O_CREAT | O_WRONLY, 0600), 2);
    ::execl("/bin/bash", "bash", "-c", command.c_str(), nullptr);
    ::_exit(127);
  }
  int raw = 0;
  const auto end = std::chrono::steady_clock::now() + limit;
  while (::waitpid(pid, &raw, WNOHANG) != pid) {
    if (std::chrono::steady_clock::now() > end) {
      ::kill(-pid, SIGKILL);
      ::waitpid(pid, &raw, 0);
      return {-1, content_of(out), content_of(err)};
    }
    ::poll(nullptr, 0, 5);  // another process is waited for: there is nothing to be notified by
  }
  return {WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw), content_of(out), content_of(err)};
}

own_servers::own_servers(std::vector<std::string> names, int port_shift)
    : names_(std::move(names)), port_shift_(port_shift) {
  std::string list;
  for (const auto& name : names_) list += " " + name;
  if (const auto up = services("up" + list); up.status != 0) {
    problem_ = up.out + up.err;
    return;
  }
  std::istringstream lines(services("env" + list).out);
  for (std::string line; std::getline(lines, line);) {  // export NAME='value'
    const auto from = line.find(' ') + 1, equals = line.find('=');
    if (equals != std::string::npos)
      variables_[line.substr(from, equals - from)] = line.substr(equals + 2, line.size() - equals - 3);
  }
}

own_servers::~own_servers() {
  std::string list;
  for (const auto& name : names_) list += " " + name;
  services("down" + list);
}

finished own_servers::services(const std::string& arguments) const {
  return run_shell("HORIZONS_SERVICES_HOME=" + (folder_.path() / "services").string() +
                       " HORIZONS_SERVICES_PORT_SHIFT=" + std::to_string(port_shift_) +
                       " " HORIZONS_SOURCE_DIR "/tests/services/services " + arguments,
                   240s);
}

std::string own_servers::operator[](const std::string& variable) const {
  const auto at = variables_.find(variable);
  return at == variables_.end() ? "" : at->second;
}

void own_servers::signal(const std::string& process, int number) const {
  std::ifstream in(folder_.path() / "services" / (process + ".pid"));
  pid_t pid = 0;
  if (in >> pid && pid > 0) ::kill(-pid, number);  // it leads a group of its own
}

void own_servers::restart(const std::string& process) const { services("restart " + process); }

bool with_servers() { return std::getenv("HORIZONS_KAFKA_BROKERS") != nullptr; }

}  // namespace horizons::test
