// What a child costs in memory, whatever the allocator: how the resident set of a process of its own grows.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <stdexcept>

namespace horizons::bench {

/// Of this process, bytes; in whole pages.
inline double resident_bytes() {
  std::uint64_t size = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

/// What `f` gives in a copy of this process, which must have one thread only. Throws std::runtime_error when it dies.
template <class F>
double in_a_fresh_process(F f) {
  int ends[2];
  if (::pipe(ends) != 0) throw std::runtime_error("no pipe");
  const auto child = ::fork();
  if (child < 0) throw std::runtime_error("no process");
  if (child == 0) {
    const double value = f();
    ::_exit(::write(ends[1], &value, sizeof value) == sizeof value ? 0 : 1);
  }
  ::close(ends[1]);
  double value = 0;
  const bool whole = ::read(ends[0], &value, sizeof value) == sizeof value;
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!whole || status != 0) throw std::runtime_error("the process that measures memory has died");
  return value;
}

}  // namespace horizons::bench
