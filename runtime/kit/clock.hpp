// The kit's clock: real, or moved by hand under simulation. Nothing in an actor reads another clock.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "runtime/kit/kit.hpp"

namespace horizons::kit {

/// Time that stands still until somebody moves it. Wall time may jump apart from it, as on real machines.
class virtual_clock {
public:
  explicit virtual_clock(timestamp start) : utc_ms_(start.time_since_epoch().count()) {}

  instant now() const { return instant{std::chrono::nanoseconds{now_ns_.load(std::memory_order_relaxed)}}; }
  timestamp utc() const {
    return timestamp{
        milliseconds{utc_ms_.load(std::memory_order_relaxed) + now_ns_.load(std::memory_order_relaxed) / 1'000'000}};
  }
  void advance_to(instant t) {
    auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count();
    if (ns > now_ns_.load(std::memory_order_relaxed)) now_ns_.store(ns, std::memory_order_relaxed);
  }
  /// Wall time only; durations are not touched.
  void jump_wall_time(milliseconds by) { utc_ms_ += by.count(); }

private:
  std::atomic<std::int64_t> now_ns_{1};  // not 0: a stamp of 0 means "not stamped"
  std::atomic<std::int64_t> utc_ms_;
};

}  // namespace horizons::kit
