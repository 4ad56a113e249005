#include "actors/agents/memory_limit.hpp"

#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace horizons::agents {

std::size_t memory_limit_bytes() {
  auto limit = static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::size_t bytes = 0;  // "max" does not parse: no limit
    if (std::ifstream(path) >> bytes && bytes > 0) limit = std::min(limit, bytes);
  }
  return limit / 5 * 4;
}

}  // namespace horizons::agents
