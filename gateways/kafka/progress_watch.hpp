// Notices that work stands still (K11: librdkafka 2.0.2's max.poll.interval.ms does not). Pure: told the time.
#pragma once

#include <chrono>
#include <cstdint>

namespace horizons::kafka {

struct progress_limits {
  std::chrono::milliseconds tell{60'000};      // records are in flight and none was answered for so long: not ready
  std::chrono::milliseconds give_up{300'000};  // start again, so that other members of the group get the partitions
};

class progress_watch {
public:
  using instant = std::chrono::steady_clock::time_point;
  enum class verdict { fine, stalled, give_up };

  explicit progress_watch(progress_limits limits) : limits_(limits) {}

  /// `answered` only grows.
  verdict look(instant now, std::size_t in_flight, std::uint64_t answered) {
    if (in_flight == 0 || answered != answered_ || since_ == instant{}) {
      answered_ = answered;
      since_ = now;
      return verdict::fine;
    }
    if (now - since_ >= limits_.give_up) return verdict::give_up;
    return now - since_ >= limits_.tell ? verdict::stalled : verdict::fine;
  }

private:
  progress_limits limits_;
  instant since_{};
  std::uint64_t answered_ = 0;
};

}  // namespace horizons::kafka
