#include "runtime/telemetry/watchdog.hpp"

#include "runtime/telemetry/log.hpp"

namespace horizons::telemetry {

std::vector<stuck_actor> find_stuck(const std::vector<kit::mailbox_reading>& readings, const stuck_limits& limits,
                                    std::set<std::pair<std::string, bool>>& known) {
  std::vector<stuck_actor> found;
  std::set<std::pair<std::string, bool>> now;
  for (auto& m : readings) {
    if (!m.handling.empty() && m.handling_for >= limits.running) {
      now.insert({m.path, true});
      if (!known.contains({m.path, true}))
        found.push_back(
            {m.path, "handler of " + m.handling + " runs for " + std::to_string(m.handling_for.count()) + " ms", true});
    }
    if (m.messages && m.oldest >= limits.queued) {
      now.insert({m.path, false});
      if (!known.contains({m.path, false}))
        found.push_back({m.path,
                         std::to_string(m.messages) + " messages wait, the oldest for " +
                             std::to_string(m.oldest.count()) + " ms" +
                             (m.handling.empty() ? "" : "; handling " + m.handling),
                         false});
    }
  }
  known = std::move(now);
  return found;
}

watchdog::watchdog(const kit::system& sys, stuck_limits limits, report tell) {
  if (!tell) tell = [](const stuck_actor& s) { log::warn("actor is stuck: " + s.text, {{"path", s.path}}); };
  thread_ = std::thread([this, &sys, limits, tell = std::move(tell)] {
    std::set<std::pair<std::string, bool>> known;
    std::unique_lock lock(mutex_);
    while (!stop_) {
      lock.unlock();
      for (auto& s : find_stuck(sys.mailboxes(), limits, known)) tell(s);
      lock.lock();
      changed_.wait_for(lock, std::min(limits.running / 2 + kit::milliseconds{1}, kit::milliseconds{500}),
                        [&] { return stop_; });
    }
  });
}

watchdog::~watchdog() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

}  // namespace horizons::telemetry
