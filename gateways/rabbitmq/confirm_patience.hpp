// How long a relay bears with a broker that is up and stores nothing. Pure value: it is told the time.
//
// RabbitMQ 3.10 asks for a quorum queue's leader once, when a channel publishes to it first. If that leader's node has
// just died, the channel refuses every publish for as long as it lives, long after there is a new leader: a new channel
// is needed, not patience. A broker that says nothing at all is left for the next one.
#pragma once

#include <algorithm>
#include <chrono>

namespace horizons::rabbitmq {

class confirm_patience {
public:
  using instant = std::chrono::steady_clock::time_point;
  using milliseconds = std::chrono::milliseconds;

  static constexpr milliseconds refusals_first{300}, refusals_max{5'000};  // an election takes some 300 ms

  /// `silence`: a broker that says nothing for so long while something is unconfirmed is left.
  explicit confirm_patience(milliseconds silence) : silence_(silence) {}

  /// A channel was opened, on the same connection or a new one.
  void opened(instant now) {
    opened_ = heard_ = now;
    proven_ = false;
  }
  /// Nothing was unconfirmed until now.
  void waits(instant now) { heard_ = now; }
  /// The broker's word. True: it has refused everything since the channel was opened, for long enough; open another.
  bool settled(bool stored, instant now) {
    heard_ = now;
    if (stored) {
      proven_ = true;
      refusals_ = refusals_first;
    }
    if (proven_ || now - opened_ < refusals_) return false;
    refusals_ = std::min(refusals_ * 2, refusals_max);
    return true;
  }
  /// While something is unconfirmed: the broker is to be left.
  bool over(instant now) const { return now - heard_ > silence_; }
  milliseconds silence() const { return silence_; }

private:
  milliseconds silence_, refusals_ = refusals_first;
  instant opened_{}, heard_{};
  bool proven_ = false;  // the channel has stored something
};

}  // namespace horizons::rabbitmq
