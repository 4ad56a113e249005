// Runs Debian's wsclean as a peer: a process of its own, timed from outside, and what it says of itself. Judges
// nothing.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "bench/report.hpp"
#include "messages/result.hpp"

namespace horizons::bench {

/// User and system time.
inline double cpu_seconds_of(const rusage& used) {
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

struct process_run {
  double seconds = 0;
  double cpu_seconds = 0;  // user and system, all threads
  int status = 0;          // exit status, 128 + the signal's number where one ended it
  std::string output;      // stdout and stderr
};

/// Runs `command` (found in PATH) with its output in `log`, to its end. not_found when there is no such program.
inline result<process_run> run_process(const std::vector<std::string>& command, const std::filesystem::path& log) {
  std::vector<char*> arguments;
  for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  process_run run;
  int refused = 0;
  run.seconds = seconds_of([&] {
    pid_t child = 0;
    refused = posix_spawnp(&child, arguments[0], &files, nullptr, arguments.data(), environ);
    if (refused != 0) return;
    int state = 0;
    rusage used{};
    while (wait4(child, &state, 0, &used) < 0 && errno == EINTR) continue;
    run.cpu_seconds = cpu_seconds_of(used);
    run.status = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
  });
  posix_spawn_file_actions_destroy(&files);
  if (refused != 0)
    return failure(refused == ENOENT ? error_code::not_found : error_code::io,
                   command[0] + " cannot be started: " + std::strerror(refused));
  std::ifstream file(log);
  run.output.assign(std::istreambuf_iterator<char>(file), {});
  return run;
}

/// "3.1.0", or nothing where wsclean is not installed.
inline std::optional<std::string> wsclean_version(const std::filesystem::path& log) {
  const auto run = run_process({"wsclean", "--version"}, log);
  const std::string before = "WSClean version ";
  const auto at = run ? run->output.find(before) : std::string::npos;
  if (at == std::string::npos) return std::nullopt;
  const auto from = at + before.size();
  return run->output.substr(from, run->output.find_first_of(" \n", from) - from);
}

struct wsclean_run {
  double seconds = 0, cpu_seconds = 0;                      // of the process
  double inversion = 0, prediction = 0, deconvolution = 0;  // as it reports: gridding and degridding with their reading
};

/// wsclean ends with a line "Inversion: 00:00:03.216, prediction: 00:00:00, deconvolution: 00:00:00".
inline double reported_seconds(const std::string& output, const std::string& name) {
  const auto at = output.rfind(name + ": ");
  int hours = 0, minutes = 0;
  double seconds = 0;
  if (at == std::string::npos ||
      std::sscanf(output.c_str() + at + name.size() + 2, "%d:%d:%lf", &hours, &minutes, &seconds) != 3)
    return 0;
  return 3600 * hours + 60 * minutes + seconds;
}

/// Fails with what wsclean said last when it did not end well.
inline result<wsclean_run> run_wsclean(std::vector<std::string> arguments, const std::filesystem::path& log) {
  arguments.insert(arguments.begin(), "wsclean");
  const auto run = run_process(arguments, log);
  if (!run) return failure(run.error());
  const auto& out = run->output;
  if (run->status != 0)
    return failure(error_code::io, "wsclean ended with status " + std::to_string(run->status) + ": " +
                                       out.substr(out.size() > 500 ? out.size() - 500 : 0));
  return wsclean_run{run->seconds, run->cpu_seconds, reported_seconds(out, "Inversion"),
                     reported_seconds(out, "prediction"), reported_seconds(out, "deconvolution")};
}

}  // namespace horizons::bench
