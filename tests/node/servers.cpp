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
  if (pid < 0) return {-1, "", "cannot fork"};
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

bool with_servers() { return std::getenv("HORIZONS_KAFKA_BROKERS") != nullptr; }

}  // namespace horizons::test
