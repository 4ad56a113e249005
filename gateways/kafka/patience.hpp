// Asking a cluster again until it knows: brokers learn of topics and leaders from each other, and nothing tells us
// when.
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

namespace horizons::kafka {

/// Calls `enough` until it is true, with pauses that double from 5 to 80 ms; false when it never was within `limit`. It
/// is called once at least, and blocks whoever calls.
template <class F>
bool ask_until(std::chrono::milliseconds limit, F enough) {
  using std::chrono::milliseconds;
  using std::chrono::steady_clock;
  const auto until = steady_clock::now() + limit;
  for (milliseconds pause{5}; !enough(); pause = std::min(pause * 2, milliseconds{80})) {
    if (steady_clock::now() + pause > until) return false;
    std::this_thread::sleep_for(pause);
  }
  return true;
}

}  // namespace horizons::kafka
