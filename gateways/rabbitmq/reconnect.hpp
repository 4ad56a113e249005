// Which broker to try next and when: the host list is walked through without pause, then the pauses grow. Pure: it is
// told what happened and a random number; it knows no clock and no socket.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace horizons::rabbitmq {

class reconnect_plan {
public:
  using milliseconds = std::chrono::milliseconds;
  static constexpr milliseconds pause_max{30'000};
  static constexpr milliseconds hop{10};  // between hosts of one round: a whole cluster that is down is not hammered

  struct attempt {
    std::size_t host;  // index into the list
    milliseconds after;
  };

  /// `first`: the pause after one fruitless round over all hosts; it doubles with every further one.
  reconnect_plan(std::size_t hosts, milliseconds first) : hosts_(hosts), first_(first) {}

  /// The very first connection: the host is chosen by chance, so that nodes spread over the cluster. `chance`: 0 ≤ x
  /// < 1.
  attempt start(double chance) {
    host_ = std::min(hosts_ - 1, static_cast<std::size_t>(chance * static_cast<double>(hosts_)));
    return {host_, milliseconds{0}};
  }

  /// The connection could not be made, or ended. `chance` 0 ≤ x < 1 spreads pauses over half to all of their length.
  attempt failed(double chance) {
    host_ = (host_ + 1) % hosts_;
    if (++tries_ < hosts_) return {host_, hop};
    tries_ = 0;
    const auto full = std::min(pause_max, first_ * (1 << std::min(rounds_, 16)));
    ++rounds_;
    return {host_, milliseconds{static_cast<long>(static_cast<double>(full.count()) * (0.5 + 0.5 * chance))}};
  }

  /// Connected, and everything asked for was granted: the next failure begins anew.
  void succeeded() {
    tries_ = 0;
    rounds_ = 0;
  }

private:
  std::size_t hosts_;
  milliseconds first_;
  std::size_t host_ = 0, tries_ = 0;
  int rounds_ = 0;
};

}  // namespace horizons::rabbitmq
