// SIGTERM and SIGINT as values read from a descriptor, so that no code runs in a signal handler. For fatal signals
// see crash_marker.hpp.
#pragma once

#include <chrono>
#include <optional>

#include "messages/result.hpp"

namespace horizons::shutdown {

/// Blocks SIGTERM and SIGINT for this thread and all it starts from now on: make it before any other thread.
class signal_waiter {
public:
  signal_waiter();
  ~signal_waiter();  // the signals stay blocked
  signal_waiter(const signal_waiter&) = delete;

  /// The next signal, or nothing when none came in time.
  std::optional<int> wait(std::chrono::milliseconds limit);
  /// Descriptor that becomes readable when a signal is pending; -1 when the system refused one.
  int descriptor() const { return fd_; }

private:
  int fd_ = -1;
};

}  // namespace horizons::shutdown
