// What can be observed of a source. Written by its thread alone, read by any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include "gateways/kafka/broker_questions.hpp"

namespace horizons::kafka {

/// From a record's timestamp to its effects being durable. Buckets around what is promised (20 ms), then coarse.
class latency_histogram {
public:
  static constexpr std::array<double, 14> upper_s{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1,
                                                  0.25,  0.5,   1,     2.5,  10,   60,   600};
  void add(double seconds);
  prometheus::ClientMetric::Histogram read() const;

private:
  std::array<std::atomic<std::uint64_t>, upper_s.size() + 1> counts_{};
  std::atomic<std::uint64_t> sum_ms_{0};
};

struct source_metrics final : prometheus::Collectable {
  using counter = std::atomic<std::uint64_t>;
  counter received{0}, known{0}, gaps{0};  // records taken; seen before; places where offsets are missing
  counter applied{0}, repeated{0}, dead_letters{0}, retries{0};
  counter rebalances{0}, fenced{0}, pauses{0}, refused_full{0}, lost{0}, restarts{0};
  std::atomic<std::int64_t> throttle_ms{0};  // the longest a broker made us wait in the last second
  std::atomic<bool> ready{false};
  latency_histogram latency;

  /// One partition; a hot one shows by its lag, what is held of it and how much it handles.
  struct partition {
    std::int64_t lag = 0;  // records up to the end that are not finished
    std::uint64_t finished = 0;
    std::size_t held = 0, in_flight = 0, waiting = 0, parked_lanes = 0;
    bool paused = false, reading = false;
  };
  void set(std::map<partition_id, partition> now);

  /// Families "horizons_kafka_source_*".
  std::vector<prometheus::MetricFamily> Collect() const override;

private:
  mutable std::mutex mutex_;
  std::map<partition_id, partition> partitions_;
};

}  // namespace horizons::kafka
