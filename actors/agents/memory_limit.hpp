// How much memory a piece of science may plan with.
#pragma once

#include <cstddef>

namespace horizons::agents {

/// 80 % of the smaller of the machine's memory and the process's control group limit: the rest is for the node itself
/// and the page cache.
std::size_t memory_limit_bytes();

}  // namespace horizons::agents
