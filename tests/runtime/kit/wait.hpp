// Waiting for a condition with a deadline: tests never sleep for luck.
#pragma once

#include <chrono>
#include <thread>

namespace horizons::testing {

/// Polls `condition` until it holds, 10 s at most; false when it never did.
template <class F>
bool eventually(F condition, std::chrono::milliseconds limit = std::chrono::seconds(10)) {
  auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace horizons::testing
