// What can be observed of a producer. Written by it, read by any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/kit/actor_metrics.hpp"

namespace horizons::kafka {

struct producer_metrics {
  std::atomic<std::uint64_t> acknowledged{0}, acknowledged_bytes{0};
  /// Sent to the brokers by the present librdkafka, compressed: far below acknowledged_bytes when compression is in
  /// effect (K17: 2.0.2 may leave it out in silence).
  std::atomic<std::uint64_t> wire_bytes{0};
  std::atomic<std::uint64_t> refused{0};                 // records that no broker will ever take
  std::atomic<std::uint64_t> rebuilt{0}, sent_again{0};  // producers made anew, and records given to the new one
  std::atomic<std::int64_t> in_flight{0}, in_flight_bytes{0};
  std::atomic<std::int64_t> last_acknowledged_ns{0};           // steady clock
  std::atomic<std::int64_t> throttle_ms{0}, round_trip_us{0};  // of the worst broker in the last second
  kit::duration_histogram latency;                             // from send to acknowledgement

  /// Prometheus text; every series carries client="<client>".
  std::string text(std::string_view client) const;
};

}  // namespace horizons::kafka
