// What can be observed of the HTTP door. Created with it, read by /metrics.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace horizons::http {

struct http_metrics {
  std::atomic<std::int64_t> connections_open{0};
  std::atomic<std::uint64_t> connections_accepted{0};
  std::atomic<std::uint64_t> connections_refused{0};  // over the limit
  std::atomic<std::uint64_t> bytes_sent{0};
  std::atomic<std::uint64_t> streams_cut{0};  // a reader of /api/stream was too slow

  /// `route` is a pattern, never a path: the number of series stays small.
  void request_done(const std::string& route, int status, std::chrono::nanoseconds took);

  /// Prometheus text format, 0.0.4.
  std::string text() const;

private:
  // From 0.5 ms (a list from memory) to 10 s (a full journal).
  static constexpr std::array<double, 9> bounds_s{0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 2.0, 10.0};
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, std::uint64_t> requests_;
  std::array<std::uint64_t, bounds_s.size() + 1> buckets_{};
  double seconds_sum_ = 0;
};

}  // namespace horizons::http
