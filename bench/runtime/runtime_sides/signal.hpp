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

/// The value below which `percent` of a hundred lie.
inline double percentile(std::vector<double> v, std::size_t percent) {
  std::sort(v.begin(), v.end());
  return v[v.size() * percent / 100];
}

/// From crashes to the next lives, µs.
struct restart_figures {
  double median = 0;
  double p99 = 0;
};
inline restart_figures figures_of(const std::vector<double>& us) { return {percentile(us, 50), percentile(us, 99)}; }

/// Of many children under one parent.
struct spawn_figures {
  double call_us = 0;     // what one spawn costs the parent
  double running_us = 0;  // from the first spawn until all run, per child
  double bytes = 0;       // resident, per running child; true in a fresh process only
};

}  // namespace horizons::bench
