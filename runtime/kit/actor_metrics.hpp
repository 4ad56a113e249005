// What can be observed of actors, per actor type: plain atomics that the kit counts and telemetry reads.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace horizons::kit {

/// Why a message reached nobody.
enum class dead_letter : std::uint8_t {
  no_receiver,
  receiver_ended,
  rejected_full,
  dropped_oldest,
  conflated,
  unhandled,
  draining
};
inline constexpr std::array<std::string_view, 7> dead_letter_names{
    "no_receiver", "receiver_ended", "rejected_full", "dropped_oldest", "conflated", "unhandled", "draining"};

/// Times in powers of four from 1 µs to 4 s: coarse, but free of locks and cheap enough for every actor.
class duration_histogram {
public:
  static constexpr std::size_t buckets = 13;  // the last one is unbounded
  static double upper_seconds(std::size_t bucket) {
    return 1e-6 * static_cast<double>(std::uint64_t{1} << (2 * bucket));
  }

  void add(std::int64_t ns, std::uint64_t weight) {
    auto us = static_cast<std::uint64_t>(ns <= 0 ? 0 : ns - 1) / 1000;
    auto bucket =
        us == 0 ? 0 : std::min<std::size_t>((static_cast<std::size_t>(std::bit_width(us)) + 1) / 2, buckets - 1);
    counts_[bucket].fetch_add(weight, std::memory_order_relaxed);
    sum_ns_.fetch_add(static_cast<std::uint64_t>(std::max<std::int64_t>(ns, 0)) * weight, std::memory_order_relaxed);
  }
  std::uint64_t count(std::size_t bucket) const { return counts_[bucket].load(std::memory_order_relaxed); }
  double sum_seconds() const { return 1e-9 * static_cast<double>(sum_ns_.load(std::memory_order_relaxed)); }

private:
  std::array<std::atomic<std::uint64_t>, buckets> counts_{};
  std::atomic<std::uint64_t> sum_ns_{0};
};

using counter = std::atomic<std::uint64_t>;

/// One actor type. Counters only grow.
struct actor_metrics {
  explicit actor_metrics(std::string t) : type(std::move(t)) {}
  const std::string type;
  counter spawned{0}, restarted{0};
  std::array<counter, 4> stopped{};                              // by exit_cause::kind
  std::array<counter, dead_letter_names.size()> dead_letters{};  // by reason
  counter handled{0};
  duration_histogram waited, processed;  // sampled, weighted to stand for all
  std::atomic<std::int64_t> longest_handler_ns{0};
  std::atomic<std::int64_t> credit_outstanding{0};

  void count(dead_letter why) { dead_letters[static_cast<std::size_t>(why)].fetch_add(1, std::memory_order_relaxed); }
};

/// All actor types of a system. At most `types_max`; later ones share "other".
class metrics_registry {
public:
  static constexpr std::size_t types_max = 500;  // each type is some 30 time series

  actor_metrics& of(std::string_view type) {
    std::lock_guard lock(mutex_);
    if (auto at = types_.find(type); at != types_.end()) return *at->second;
    if (types_.size() >= types_max) type = "other";
    auto& slot = types_[std::string(type)];
    if (!slot) slot = std::make_unique<actor_metrics>(std::string(type));
    return *slot;
  }
  std::vector<const actor_metrics*> all() const {
    std::lock_guard lock(mutex_);
    std::vector<const actor_metrics*> r;
    for (auto& [name, m] : types_) r.push_back(m.get());
    return r;
  }

private:
  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<actor_metrics>, std::less<>> types_;  // never shrinks: references stay valid
};

}  // namespace horizons::kit
