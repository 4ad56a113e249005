// What can be observed of the bridge. Written by its actors, read by any thread; the collector makes Prometheus
// families of it.
#pragma once

#include <prometheus/collectable.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace horizons::rabbitmq {

/// Of one actor, that is of one connection.
struct link_metrics {
  std::atomic<bool> connected{false};
  std::atomic<std::uint64_t> connects{0}, losses{0}, cuts{0};  // cuts: a broker that did not answer was cut off
  std::atomic<std::uint64_t> blocked_ns{0};                    // the broker's memory or disk alarm
  std::atomic<std::uint64_t> published{0}, confirmed{0}, nacked{0}, returned{0}, unconfirmed{0};
  std::atomic<std::uint64_t> delivered{0}, redelivered{0}, acked{0}, requeued{0}, unacked{0};
};

/// From publish to confirm. Bounds in seconds, doubling from 0.25 ms.
class confirm_histogram {
public:
  static constexpr std::size_t buckets = 16;
  void observe(std::chrono::nanoseconds took);
  static double bound_s(std::size_t bucket) { return 0.00025 * static_cast<double>(1U << bucket); }

  std::array<std::atomic<std::uint64_t>, buckets + 1> counts{};  // the last: above all bounds
  std::atomic<std::uint64_t> sum_ns{0};
};

struct metrics {
  link_metrics source, relay, dead_letters;
  confirm_histogram relay_confirms;
  std::atomic<std::uint64_t> applied{0}, repeated{0}, rejected{0};  // what became of submissions
  std::atomic<std::uint64_t> dead_lettered{0}, dropped{0};          // dropped: without a dead-letter queue
  std::atomic<std::uint64_t> replies{0}, congested{0};              // congested: times the queue of jobs was full
  std::atomic<std::uint64_t> relay_position{0}, consumer_cancels{0};

  void set_depth(const std::string& queue, std::uint64_t messages);
  std::map<std::string, std::uint64_t> depths() const;

private:
  mutable std::mutex mutex_;
  std::map<std::string, std::uint64_t> depths_;
};

/// Families "horizons_rabbitmq_*", labelled by link (source, relay, dead_letters).
class collector final : public prometheus::Collectable {
public:
  explicit collector(std::shared_ptr<const metrics> of) : of_(std::move(of)) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

private:
  std::shared_ptr<const metrics> of_;
};

}  // namespace horizons::rabbitmq
