// A wait for a socket that other threads can end: the thread of an actor sleeps here while messages flow, which spares
// it two changes of threads for each packet, and is woken for what comes to the actor by other ways.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace horizons::rabbitmq {

class nap {
public:
  enum class ended { readable, interrupted, timed_out };

  nap() = default;
  ~nap() { ::close(wake_fd_); }
  nap(const nap&) = delete;

  /// From here on interrupt() ends the next wait: so what it announces can be looked for before one goes to sleep.
  void lie_down() { lying_ = true; }

  ended wait(int socket, std::chrono::microseconds at_most) {
    std::array<pollfd, 2> both{{{socket, POLLIN, 0}, {wake_fd_, POLLIN, 0}}};
    const auto s = std::chrono::duration_cast<std::chrono::seconds>(at_most);
    const timespec time{s.count(), std::chrono::nanoseconds(at_most - s).count()};
    const bool any = ::ppoll(both.data(), both.size(), &time, nullptr) > 0;
    lying_ = false;
    if (!any) return ended::timed_out;
    if (both[1].revents) {
      std::uint64_t times = 0;
      [[maybe_unused]] const auto read = ::read(wake_fd_, &times, sizeof times);
    }
    return both[0].revents ? ended::readable : ended::interrupted;
  }

  /// On any thread. Nothing, and cheap, when nobody sleeps.
  void interrupt() {
    if (!lying_.load() || !lying_.exchange(false)) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof one);
  }

private:
  const int wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  std::atomic<bool> lying_{false};
};

}  // namespace horizons::rabbitmq
