// Finds actors that are stuck: a handler that runs too long, a message that waits too long. Says which actor and
// which message type. It only tells; ending an actor is its supervisor's or an operator's business.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "runtime/kit/system.hpp"

namespace horizons::telemetry {

struct stuck_limits {
  kit::milliseconds running{1'000};  // a handler is meant to take microseconds
  kit::milliseconds queued{5'000};
};

struct stuck_actor {
  std::string path, text;  // "handler of gpu_unit runs for 1200 ms"
  bool running = false;    // else: queued
};

/// The pure part: what is stuck in these readings and was not so before. `known` carries over from call to call.
std::vector<stuck_actor> find_stuck(const std::vector<kit::mailbox_reading>& readings, const stuck_limits& limits,
                                    std::set<std::pair<std::string, bool>>& known);

/// Looks twice a second from a thread of its own, so that a blocked pool cannot silence it; logs each case once.
class watchdog {
public:
  using report = std::function<void(const stuck_actor&)>;
  explicit watchdog(const kit::system& sys, stuck_limits limits = {}, report tell = {});
  ~watchdog();

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace horizons::telemetry
