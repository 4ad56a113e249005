#include "runtime/shutdown/shutdown.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <thread>

namespace horizons::shutdown {

report run_phases(std::map<phase, phase_work> work, signal_waiter& signals, time_boxes boxes) {
  using clock = std::chrono::steady_clock;
  report r;
  shutdown_plan plan(boxes);
  struct running {
    phase what;
    instant since;
    std::shared_ptr<std::atomic<bool>> done = std::make_shared<std::atomic<bool>>(false);
    std::thread thread;
  };
  std::optional<running> present;
  bool over = false;

  auto close_line = [&](bool in_time) {
    r.phases.push_back(
        {present->what, std::chrono::duration_cast<milliseconds>(clock::now() - present->since), in_time});
    if (in_time)
      present->thread.join();
    else
      present->thread.detach();  // hangs: the process leaves without it
    present.reset();
  };
  std::function<void(const event&)> feed = [&](const event& e) {
    for (auto& effect : plan.step(e, clock::now())) {
      if (auto* x = std::get_if<run>(&effect)) {
        present.emplace(running{.what = x->what, .since = clock::now()});
        present->thread = std::thread([f = work[x->what], done = present->done, deadline = x->deadline] {
          if (f) f(deadline);
          done->store(true, std::memory_order_release);
        });
      } else if (std::holds_alternative<give_up>(effect)) {
        close_line(false);
      } else if (auto* x = std::get_if<leave>(&effect)) {
        r.in_order = x->in_order;
        r.reason = x->reason;
        over = true;
      }
    }
  };

  feed(signalled{});
  while (!over) {
    if (present && present->done->load(std::memory_order_acquire)) {
      auto what = present->what;
      close_line(true);
      feed(finished{what});
    } else if (signals.wait(milliseconds{5})) {
      feed(signalled{});
    } else if (clock::now() >= plan.next_deadline()) {
      feed(time_passed{});
    }
  }
  if (present) close_line(false);
  return r;
}

}  // namespace horizons::shutdown
