// The traps of CAF 0.17.6, one test each: the guard. The traps themselves, where they can be shown in a process of the
// tests, are in raw_caf_traps_test.cpp.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <limits>
#include <stdexcept>

#include "runtime/kit/system.hpp"
#include "tests/runtime/kit/wait.hpp"

namespace horizons::kit {
namespace {

using namespace std::chrono_literals;
using testing::eventually;

struct hello {
  using reply = int;
};
struct reading {
  using reply = double;
  double value;
};
struct lost {
  using reply = int;
};
struct spin {};
struct fail {};
using api = accepts<hello, reading, lost, spin, fail>;

behavior body(context& self) {
  return behavior{}
      .on<hello>([](const hello&) -> result<int> { return 1; })
      .on<reading>([](const reading& r) -> result<double> { return r.value; })
      .on<lost>([](const lost&, promise<int>) {})
      .on<spin>([me = self.self_as<api>()](const spin&) { me.send(spin{}); })
      .on<fail>([](const fail&) { throw std::runtime_error("broke"); });
}

TEST(caf_trap, t0_values_that_cannot_be_serialised_pass) {
  // No message is handed to CAF's serialisers: values travel as they are.
  system sys;
  auto h = sys.spawn<api>({.name = "h"}, body);
  EXPECT_EQ(sys.ask(h, reading{std::numeric_limits<double>::infinity()}, 5s), std::numeric_limits<double>::infinity());
  auto nan = sys.ask(h, reading{std::numeric_limits<double>::quiet_NaN()}, 5s);
  EXPECT_TRUE(nan && *nan != *nan);
}

TEST(caf_trap, t1_a_name_follows_a_restart) {
  system sys;
  auto parent = sys.spawn<api>({.name = "p"}, [](context& self) {
    self.spawn<api>({.name = "c"}, body, {.restart = restart::permanent});
    return behavior{};
  });
  ASSERT_TRUE(eventually([&] { return bool(sys.find("/p/c")); }));
  handle<api> child(sys.find("/p/c").cell());
  child.send(fail{});
  ASSERT_TRUE(eventually([&] { return sys.tree().at(1).restarts == 1 && sys.tree().at(1).state == "running"; }));
  EXPECT_EQ(sys.ask(handle<api>(sys.find("/p/c").cell()), hello{}, 5s), 1);
}

TEST(caf_trap, t2_a_request_to_a_dead_actor_fails_at_once) {
  system sys;
  auto h = sys.spawn<api>({.name = "h"}, body);
  sys.stop(h, 5s);
  auto before = std::chrono::steady_clock::now();
  auto r = sys.ask(h, hello{}, 60s);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, error_code::unavailable);
  EXPECT_LT(std::chrono::steady_clock::now() - before, 10s);
}

TEST(caf_trap, t3_a_lost_promise_answers_with_an_error) {
  system sys;
  auto r = sys.ask(sys.spawn<api>({.name = "h"}, body), lost{}, 60s);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, error_code::internal);
}

TEST(caf_trap, t4_an_actor_that_feeds_itself_does_not_starve_the_others) {
  system sys({.threads = 1});
  auto busy = sys.spawn<api>({.name = "busy"}, body);
  auto victim = sys.spawn<api>({.name = "victim"}, body);
  busy.send(spin{});
  EXPECT_EQ(sys.ask(victim, hello{}, 5s), 1);
}

TEST(caf_trap, t5_an_actor_nobody_holds_stays) {
  system sys;
  sys.spawn<api>({.name = "alone"}, body);
  EXPECT_EQ(sys.ask(handle<api>(sys.find("/alone").cell()), hello{}, 5s), 1);
}

TEST(caf_trap, t6_message_types_need_no_registration) {
  struct local_type {
    std::unique_ptr<int> movable_only;
  };
  system sys;
  std::promise<int> got;
  auto h = sys.spawn<accepts<local_type>>({.name = "h"}, [&](context&) {
    return behavior{}.on<local_type>([&](local_type& m) { got.set_value(*m.movable_only); });
  });
  h.send(local_type{std::make_unique<int>(7)});
  EXPECT_EQ(got.get_future().get(), 7);
}

/// T7 (heartbeats), T8 (remote_actor blocks), T9 (payloads without limit), T10 (node ids collide) and T11 (errors only
/// logged) are BASP's; T12 is actor_pool's. The guard: neither is reachable, for no file includes them.
TEST(caf_trap, t7_to_t12_basp_and_actor_pool_are_not_used) {
  for (auto& file : std::filesystem::recursive_directory_iterator(HORIZONS_SOURCE_DIR "/runtime")) {
    if (!file.is_regular_file()) continue;
    std::ifstream in(file.path());
    std::string text((std::istreambuf_iterator<char>(in)), {});
    for (auto trap : {"caf/io/", "caf/all.hpp", "caf/actor_pool.hpp", "caf/group", "remote_actor("})
      EXPECT_EQ(text.find(trap), std::string::npos) << file.path() << " uses " << trap;
  }
}

TEST(caf_trap, t13_an_exception_reaches_who_watches_once_with_its_text) {
  system sys;
  auto h = sys.spawn<api>({.name = "h"}, body);
  std::atomic<int> told{0};
  std::promise<exit_cause> cause;
  auto watcher = sys.spawn<api>({.name = "w"}, [&](context& self) {
    self.monitor(h, [&](const exit_cause& c) {
      if (++told == 1) cause.set_value(c);
    });
    return body(self);
  });
  EXPECT_EQ(sys.ask(watcher, hello{}, 5s), 1);
  h.send(fail{});
  auto c = cause.get_future().get();
  EXPECT_EQ(c.how, exit_cause::kind::failed);
  EXPECT_EQ(c.reason, "broke");
  EXPECT_EQ(sys.ask(watcher, hello{}, 5s), 1);
  EXPECT_EQ(told, 1);
}

TEST(caf_trap, t14_the_end_of_a_system_is_bounded) {
  auto start = std::chrono::steady_clock::now();
  {
    system sys;
    for (int i = 0; i < 100; ++i) sys.spawn<api>({.name = "a" + std::to_string(i)}, body);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
}

/// A worker that steals walks the victim's whole list under its lock (double_ended_queue::take_tail): a burst of
/// runnable actors costs its square, for some seconds at 20 k and minutes at 100 k. How long differs from run to run,
/// so the guard itself is looked for; work_queue_test shows what it does, bench/runtime what it is worth.
TEST(caf_trap, t15_run_queues_are_not_stolen_from) {
  std::ifstream in(HORIZONS_SOURCE_DIR "/runtime/kit/engine.cpp");
  std::string text((std::istreambuf_iterator<char>(in)), {});
  EXPECT_NE(text.find("config.load<caf::scheduler::coordinator<hand_off>>()"), std::string::npos);
}

}  // namespace
}  // namespace horizons::kit
