// A node stops in phases, each in its time box; a second signal ends it at once.
#include "runtime/shutdown/shutdown.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <future>
#include <sstream>

namespace horizons::shutdown {
namespace {

using namespace std::chrono_literals;

std::string text(const std::vector<effect>& effects, instant start) {
  std::string r;
  for (auto& e : effects) {
    std::ostringstream s;
    if (auto* x = std::get_if<run>(&e))
      s << "run " << to_string(x->what) << " until "
        << std::chrono::duration_cast<milliseconds>(x->deadline - start).count();
    else if (auto* x = std::get_if<give_up>(&e))
      s << "give up " << to_string(x->what);
    else
      s << "leave: " << std::get<leave>(e).reason;
    r += (r.empty() ? "" : ", ") + s.str();
  }
  return r;
}

TEST(shutdown_plan, phases_follow_each_other_as_they_finish) {
  shutdown_plan plan;
  instant t0{1h};
  EXPECT_EQ(text(plan.step(time_passed{}, t0), t0), "");
  EXPECT_EQ(text(plan.step(signalled{}, t0), t0), "run stop intake until 1000");
  EXPECT_EQ(text(plan.step(finished{phase::drain}, t0), t0), "");  // not its turn
  EXPECT_EQ(text(plan.step(finished{phase::stop_intake}, t0 + 10ms), t0), "run drain until 6010");
  EXPECT_EQ(text(plan.step(finished{phase::drain}, t0 + 2s), t0), "run hand over until 3000");
  EXPECT_EQ(text(plan.step(finished{phase::hand_over}, t0 + 2s), t0), "run stop actors until 7000");
  EXPECT_EQ(text(plan.step(finished{phase::stop_actors}, t0 + 2s), t0), "run close until 3000");
  EXPECT_EQ(text(plan.step(finished{phase::close}, t0 + 2s), t0), "leave: stopped in order");
  EXPECT_EQ(text(plan.step(signalled{}, t0 + 3s), t0), "");
}

TEST(shutdown_plan, a_phase_that_hangs_is_given_up_and_the_total_is_kept) {
  shutdown_plan plan;
  instant t0{1h}, now = t0;
  plan.step(signalled{}, now);
  std::vector<effect> last;
  for (int i = 0; i < 10 && plan.next_deadline() != instant::max(); ++i) {
    EXPECT_TRUE(plan.step(time_passed{}, plan.next_deadline() - 1ms).empty());
    now = plan.next_deadline();
    last = plan.step(time_passed{}, now);
  }
  EXPECT_EQ(text(last, t0), "give up close, leave: stopped; not every phase ended in time");
  EXPECT_LE(now - t0, 15s);
}

TEST(shutdown_plan, a_second_signal_leaves_at_once) {
  shutdown_plan plan;
  instant t0{1h};
  plan.step(signalled{}, t0);
  EXPECT_EQ(text(plan.step(signalled{}, t0 + 1ms), t0), "leave: a second signal");
}

TEST(shutdown, runs_the_work_of_each_phase_in_order) {
  signal_waiter signals;
  std::string order;
  std::map<phase, phase_work> work;
  work[phase::close] = [&](instant) { order += "close"; };
  work[phase::stop_intake] = [&](instant) { order += "intake "; };
  auto r = run_phases(work, signals);
  EXPECT_TRUE(r.in_order);
  EXPECT_EQ(order, "intake close");
  EXPECT_EQ(r.phases.size(), 5u);
}

TEST(shutdown, names_the_phase_that_hangs) {
  signal_waiter signals;
  auto hang = std::make_shared<std::promise<void>>();
  auto released = hang->get_future().share();
  auto left = std::make_shared<std::promise<void>>();
  std::map<phase, phase_work> work;
  work[phase::drain] = [released, left](instant) {
    released.wait();
    left->set_value();
  };
  time_boxes boxes;
  boxes.limit.fill(50ms);
  auto r = run_phases(work, signals, boxes);
  EXPECT_FALSE(r.in_order);
  ASSERT_EQ(r.phases.size(), 5u);
  EXPECT_FALSE(r.phases[1].in_time);
  EXPECT_TRUE(r.phases[4].in_time);
  hang->set_value();
  left->get_future().wait();
}

TEST(shutdown, signals_are_read_from_a_descriptor) {
  signal_waiter signals;
  EXPECT_EQ(signals.wait(1ms), std::nullopt);
  pthread_kill(pthread_self(), SIGTERM);
  EXPECT_EQ(signals.wait(1s), SIGTERM);
  std::map<phase, phase_work> work;
  work[phase::drain] = [](instant) { kill(getpid(), SIGINT); };  // every thread blocks it: the waiter gets it
  work[phase::hand_over] = [](instant deadline) {
    while (std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  };
  auto r = run_phases(work, signals);
  EXPECT_EQ(r.reason, "a second signal");
}

}  // namespace
}  // namespace horizons::shutdown
