// Data-parallel loops over all cores of the process. One pool for everybody: numeric code never spawns
// threads of its own, so that `threads` is a real limit and nested use does not oversubscribe.
#pragma once

#include <cstddef>
#include <functional>
#include <stop_token>

namespace horizons::gpu {

/// The number of threads numeric code may use: HORIZONS_THREADS, else the CPUs the process may run on
/// (affinity and cgroup quota respected).
std::size_t thread_count();

/// Calls `body(begin, end, worker)` over disjoint chunks of [0, n) of about `grain` items, dynamically
/// scheduled on all threads, the caller's included; worker < thread_count(). Returns when all are done.
/// The first exception thrown by a body is rethrown. A nested call runs serially on its caller's thread.
void parallel_for(std::size_t n, std::size_t grain,
                  const std::function<void(std::size_t begin, std::size_t end, std::size_t worker)>& body);

/// The same until `stop` is requested: no chunk begins after that, and what was made so far is the caller's to throw
/// away.
inline void parallel_for(std::size_t n, std::size_t grain, const std::stop_token& stop,
                         const std::function<void(std::size_t begin, std::size_t end, std::size_t worker)>& body) {
  parallel_for(n, grain, [&](std::size_t begin, std::size_t end, std::size_t worker) {
    if (!stop.stop_requested()) body(begin, end, worker);
  });
}

}  // namespace horizons::gpu
