// What the sides of runtime_bench share: sizes of the tasks, and a flag that the measuring thread waits for.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

namespace horizons::bench {

using clock_type = std::chrono::steady_clock;

constexpr std::uint64_t one_way_messages = 400'000, round_trips = 150'000, requests = 100'000, spawns = 20'000;
constexpr std::uint64_t fan_in_senders = 4, fan_in_each = 100'000;
constexpr int crashes = 2'000;

inline double seconds_since(clock_type::time_point t) {
  return std::chrono::duration<double>(clock_type::now() - t).count();
}

struct signal {
  std::mutex m;
  std::condition_variable c;
  bool set = false;
  void give() {
    std::lock_guard l(m);
    set = true;
    c.notify_all();
  }
  void take() {
    std::unique_lock l(m);
    c.wait(l, [&] { return set; });
    set = false;
  }
};

/// The 99th percentile.
inline double p99(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() * 99 / 100];
}

/// Of many children under one parent.
struct spawn_figures {
  double call_us = 0;     // what one spawn costs the parent
  double running_us = 0;  // from the first spawn until all run, per child
  double bytes = 0;       // heap, per running child
};

}  // namespace horizons::bench
