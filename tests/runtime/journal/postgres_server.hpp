// A PostgreSQL server of one test, so that it may be killed: in a folder of its own, reached by a local socket.
#pragma once

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/runtime/journal/sample.hpp"
#include "tests/runtime/kit/wait.hpp"

namespace horizons::journal::sample {

class postgres_server {
public:
  static inline const std::string binaries = "/usr/lib/postgresql/15/bin/";
  static bool available() { return std::filesystem::exists(binaries + "initdb"); }

  postgres_server() {
    if (::geteuid() == 0)  // PostgreSQL refuses to run as root
      if (const passwd* user = ::getpwnam("postgres")) {
        user_ = user->pw_uid;
        group_ = user->pw_gid;
        EXPECT_EQ(::chown(folder_.path().c_str(), user_, group_), 0);
      }
    const auto made = spawn({binaries + "initdb", "-D", data(), "-U", "postgres", "-A", "trust", "-N",
                             "--no-instructions", "--locale=C.UTF-8", "-E", "UTF8"});
    int status = -1;
    ::waitpid(made, &status, 0);
    EXPECT_EQ(status, 0) << "initdb failed: " << folder_ / "log";
    std::ofstream(data() + "/postgresql.auto.conf", std::ios::app)
        << "listen_addresses = ''\nunix_socket_directories = '" << folder_.path() << "'\nshared_buffers = 32MB\n";
    start();
  }
  ~postgres_server() { kill(); }

  void start() {
    server_ = spawn({binaries + "postgres", "-D", data()});
    EXPECT_TRUE(testing::eventually([&] { return answers(); }, std::chrono::seconds(30))) << folder_ / "log";
  }

  /// Power off: every process of the server at once.
  void kill() {
    if (server_ <= 0) return;
    ::kill(server_, SIGSTOP);  // or it would start new ones meanwhile
    std::ifstream children("/proc/" + std::to_string(server_) + "/task/" + std::to_string(server_) + "/children");
    std::vector<pid_t> all;
    for (pid_t pid; children >> pid;) all.push_back(pid);
    for (const auto pid : all) ::kill(pid, SIGKILL);
    ::kill(server_, SIGKILL);
    ::waitpid(server_, nullptr, 0);
    for (const auto pid : all)  // they hold its memory until they are gone
      EXPECT_TRUE(testing::eventually([&] { return ::kill(pid, 0) != 0 || zombie(pid); }));
    server_ = 0;
  }

  std::string url() const {
    std::string host;
    for (const char c : folder_.path()) host += c == '/' ? "%2F" : std::string(1, c);
    return "postgresql://postgres@" + host + "/postgres";
  }

private:
  std::string data() const { return folder_ / "data"; }

  pid_t spawn(std::vector<std::string> command) const {
    std::vector<char*> arguments;
    for (auto& part : command) arguments.push_back(part.data());
    arguments.push_back(nullptr);
    const std::string log = folder_ / "log";
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    if (user_ != 0 && (::setgroups(0, nullptr) != 0 || ::setgid(group_) != 0 || ::setuid(user_) != 0)) ::_exit(125);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (::chdir("/") != 0 || ::dup2(out, 1) < 0 || ::dup2(out, 2) < 0) ::_exit(126);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }

  bool answers() const {
    const auto probe = spawn({binaries + "pg_isready", "-q", "-h", folder_.path()});
    int status = -1;
    ::waitpid(probe, &status, 0);
    return status == 0;
  }

  static bool zombie(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    return text.find(") Z ") != std::string::npos;
  }

  folder folder_;
  uid_t user_ = 0;
  gid_t group_ = 0;
  pid_t server_ = 0;
};

}  // namespace horizons::journal::sample
