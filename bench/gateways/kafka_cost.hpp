// What a run cost the whole machine: a client and three brokers share its cores, so a record that is cheap for the
// client may still be dear for the brokers, and cores may also have waited. Read from proc(5).
#pragma once

#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace horizons::bench {

/// Where `./dev services` keeps what it knows of its processes.
inline std::filesystem::path services_home() {
  const char* home = std::getenv("HORIZONS_SERVICES_HOME");
  return home ? home : HORIZONS_BINARY_DIR "/services";
}

/// The brokers as `./dev services` started them, in their order; empty: somebody else did.
inline std::vector<pid_t> broker_processes() {
  std::vector<pid_t> found;
  for (int broker = 1; broker <= 3; ++broker) {
    std::ifstream file(services_home() / ("kafka-" + std::to_string(broker) + ".pid"));
    if (pid_t pid = 0; file >> pid && pid > 1) found.push_back(pid);
  }
  return found;
}

/// CPU seconds of another process so far, all its threads; 0 when it is gone.
inline double cpu_seconds_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  const auto name_end = line.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream rest(line.substr(name_end + 1));
  std::string word;
  double ticks = 0;
  for (int field = 3; field <= 15 && rest >> word; ++field)
    if (field >= 14) ticks += std::stod(word);  // utime, stime
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

/// What one run cost, per record. `others`: all other processes (PostgreSQL, if it takes part) and the kernel's own;
/// `idle`: of both cores' time while nobody had anything to do.
struct rate {
  double per_s = 0, cpu_us = 0, brokers_us = 0, others_us = 0, idle_us = 0;
  double began_s = 0, ended_s = 0;  // of the steady clock, for `perf report --time`
};

/// Begins with a run.
class cost_meter {
public:
  rate of(std::size_t records) const {
    const auto after = now();
    const double n = 1e-6 * static_cast<double>(records);
    rate r{.per_s = 1e6 * n / std::chrono::duration<double>(after.at - before_.at).count(),
           .cpu_us = (after.own - before_.own) / n,
           .brokers_us = (after.brokers - before_.brokers) / n,
           .idle_us = (after.idle - before_.idle) / n,
           .began_s = seconds(before_.at),
           .ended_s = seconds(after.at)};
    r.others_us = (after.busy - before_.busy) / n - r.cpu_us - r.brokers_us;
    return r;
  }

private:
  static double seconds(std::chrono::steady_clock::time_point at) {
    return std::chrono::duration<double>(at.time_since_epoch()).count();
  }
  struct reading {
    std::chrono::steady_clock::time_point at = std::chrono::steady_clock::now();
    double own = 0, brokers = 0, busy = 0, idle = 0;  // s
  };
  reading now() const {
    reading r;
    rusage u{};
    getrusage(RUSAGE_SELF, &u);
    r.own = static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
            1e-6 * static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    for (const auto pid : brokers_) r.brokers += cpu_seconds_of(pid);
    std::ifstream machine("/proc/stat");
    std::string cpu;
    machine >> cpu;
    double ticks = 0;
    for (int column = 0; column < 7 && machine >> ticks; ++column)  // the fourth and fifth: idle, waiting for a disk
      (column == 3 || column == 4 ? r.idle : r.busy) += ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
    return r;
  }
  std::vector<pid_t> brokers_ = broker_processes();
  reading before_ = now();
};

}  // namespace horizons::bench
