// What can be observed of the relay. Written by its actor, read by any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "gateways/bridges/services.hpp"
#include "gateways/kafka/producer_metrics.hpp"

namespace horizons::kafka {

class relay_metrics {
public:
  std::shared_ptr<producer_metrics> producer = std::make_shared<producer_metrics>();
  std::atomic<std::uint64_t> events{0};   // acknowledged on all their topics
  std::atomic<std::uint64_t> refused{0};  // given up: too large, or not to be encoded; each is audited
  std::atomic<std::uint64_t> heads{0};    // heads of the audit chain sent
  std::atomic<std::uint64_t> marks{0};    // positions stored in the journal
  std::atomic<std::uint64_t> acknowledged_position{0}, last_position{0};
  std::atomic<std::int64_t> open{0};  // events under way
  kit::duration_histogram delay;      // from the event's time to its acknowledgement

  /// Journal positions between the last event and the last acknowledged one.
  std::uint64_t lag() const {
    const std::uint64_t last = last_position, done = acknowledged_position;
    return last > done ? last - done : 0;
  }
  std::string text() const;

  bridges::bridge_health health() const;
  void set_health(bridges::bridge_health h);

private:
  mutable std::mutex mutex_;
  bridges::bridge_health health_{false, "starting"};
};

}  // namespace horizons::kafka
