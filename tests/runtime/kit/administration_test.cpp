// What an operator does to one actor: inspect, kill, restart, drain.
#include "runtime/kit/administration.hpp"

#include <gtest/gtest.h>

#include <future>

#include "runtime/kit/actor_metrics.hpp"
#include "runtime/supervision/supervisor.hpp"
#include "tests/runtime/kit/wait.hpp"

namespace horizons::kit {
namespace {

using namespace std::chrono_literals;
using testing::eventually;

struct work {
  std::shared_future<void> until;  // the handler's, when valid
};
struct count_work {
  using reply = int;
};
struct health {
  static constexpr auto lane = kit::lane::control;
  using reply = int;
};
using worker_api = accepts<work, count_work, health>;

struct world {
  std::atomic<int> started{0}, stopped{0}, handled{0};
  system sys;
  handle<supervision::supervisor_api> root;

  explicit world(supervision::strategy how = supervision::strategy::one_for_one, restart kind = restart::permanent,
                 supervision::restart_limits limits = {.backoff_first = 0ms, .backoff_max = 0ms},
                 lane_limits lane = {}) {
    auto body = [this](context& self) {
      ++started;
      self.on_stop([this, &self] {
        ++stopped;
        self.quit({exit_cause::kind::shutdown, "stopped"});
      });
      auto mine = std::make_shared<int>(0);
      return behavior{}
          .on<work>([this, mine](const work& w) {
            if (w.until.valid()) w.until.wait();
            ++*mine;
            ++handled;
          })
          .on<count_work>([mine](const count_work&) -> result<int> { return *mine; })
          .on<health>([](const health&) -> result<int> { return 1; });
    };
    root = sys.spawn<supervision::supervisor_api>(
        {.name = "node"}, supervision::supervisor(how, limits,
                                                  {{{.name = "a", .type = "worker", .limits = lane}, body, {kind}},
                                                   {{.name = "b", .type = "worker"}, body, {}}}));
    EXPECT_TRUE(eventually([&] { return started == 2; }));
  }
  handle<worker_api> at(const char* path) { return handle<worker_api>(sys.find(path).cell()); }
  std::string state(const char* path) {
    auto r = inspect(sys, path);
    return r ? r->entry.state : r.error().text;
  }
};

TEST(administration, inspect_shows_what_an_actor_does) {
  world w;
  std::promise<void> go;
  w.at("/node/a").send(work{go.get_future().share()});
  w.at("/node/a").send(work{});
  ASSERT_TRUE(eventually([&] { return !inspect(w.sys, "/node/a")->mailbox.handling.empty(); }));
  auto r = inspect(w.sys, "/node/a");
  ASSERT_TRUE(r);
  EXPECT_EQ(r->entry.type, "worker");
  EXPECT_EQ(r->entry.state, "running");
  EXPECT_EQ(r->supervisor, "/node");
  EXPECT_EQ(r->mailbox.messages, 1u);
  EXPECT_NE(r->mailbox.handling.find("work"), std::string::npos);
  EXPECT_FALSE(r->draining);
  go.set_value();
  EXPECT_TRUE(eventually([&] { return inspect(w.sys, "/node/a")->mailbox.handled == 2; }));
  EXPECT_EQ(inspect(w.sys, "/node/nobody").error().code, error_code::not_found);
  EXPECT_EQ(inspect(w.sys, "/node")->supervisor, "");
}

TEST(administration, kill_is_a_crash_that_the_supervisor_answers) {
  world w;
  ASSERT_TRUE(kill_actor(w.sys, "/node/a"));
  EXPECT_TRUE(eventually([&] { return w.started == 3 && w.state("/node/a") == "running"; }));
  EXPECT_EQ(w.stopped, 0);  // no orderly stop
  auto r = inspect(w.sys, "/node/a");
  EXPECT_EQ(r->entry.restarts, 1);
  EXPECT_EQ(r->entry.last_error, "killed");
}

TEST(administration, a_killed_temporary_child_stays_away) {
  world w(supervision::strategy::one_for_one, restart::temporary);
  EXPECT_EQ(restart_actor(w.sys, "/node/a").error().code, error_code::conflict);
  EXPECT_EQ(drain_actor(w.sys, "/node/a", after_drain::restart).error().code, error_code::conflict);
  ASSERT_TRUE(kill_actor(w.sys, "/node/a"));
  EXPECT_TRUE(eventually([&] { return !inspect(w.sys, "/node/a"); }));
  EXPECT_EQ(kill_actor(w.sys, "/node/a").error().code, error_code::not_found);
}

TEST(administration, a_killed_actor_that_hangs_is_replaced) {
  world w;
  std::promise<void> go;
  w.at("/node/a").send(work{go.get_future().share()});
  ASSERT_TRUE(eventually([&] { return !inspect(w.sys, "/node/a")->mailbox.handling.empty(); }));
  ASSERT_TRUE(kill_actor(w.sys, "/node/a"));
  EXPECT_TRUE(eventually([&] { return w.started == 3; }));
  EXPECT_TRUE(w.sys.ask(w.at("/node/a"), count_work{}, 5s));
  go.set_value();
  EXPECT_TRUE(eventually([&] { return w.sys.shutdown(1s).empty(); }));  // the abandoned thread has come home
}

TEST(administration, the_root_is_not_for_operators) {
  world w;
  EXPECT_EQ(kill_actor(w.sys, "/node").error().code, error_code::conflict);
  EXPECT_EQ(restart_actor(w.sys, "/node").error().code, error_code::conflict);
  EXPECT_EQ(w.state("/node"), "running");
}

TEST(administration, restart_stops_in_order_and_counts_as_no_failure) {
  // Not one failure is allowed: were it counted, the root would end.
  world w(supervision::strategy::one_for_one, restart::permanent, {.restarts_max = 0});
  auto a = w.at("/node/a");
  a.send(work{});
  ASSERT_EQ(*w.sys.ask(a, count_work{}, 5s), 1);
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(restart_actor(w.sys, "/node/a"));
    ASSERT_TRUE(eventually([&] { return w.started == 2 + i && w.state("/node/a") == "running"; }));
  }
  EXPECT_EQ(w.stopped, 3);
  EXPECT_EQ(*w.sys.ask(a, count_work{}, 5s), 0);  // fresh state behind the same address
  EXPECT_EQ(inspect(w.sys, "/node/a")->entry.last_error, "");
  EXPECT_EQ(w.state("/node"), "running");
}

TEST(administration, restart_takes_along_what_the_strategy_ties_to_it) {
  world w(supervision::strategy::rest_for_one);
  ASSERT_TRUE(restart_actor(w.sys, "/node/a"));
  ASSERT_TRUE(eventually([&] { return w.started == 4; }));
  EXPECT_EQ(w.stopped, 2);
  EXPECT_TRUE(eventually([&] { return w.state("/node/b") == "running" && w.state("/node/a") == "running"; }));
  ASSERT_TRUE(restart_actor(w.sys, "/node/b"));
  ASSERT_TRUE(eventually([&] { return w.started == 5; }));
  EXPECT_EQ(inspect(w.sys, "/node/a")->entry.restarts, 1);
  EXPECT_EQ(inspect(w.sys, "/node/b")->entry.restarts, 2);
}

TEST(administration, restart_does_not_wait_for_a_backoff) {
  world w(supervision::strategy::one_for_one, restart::permanent, {.backoff_first = 3'600s, .backoff_max = 3'600s});
  ASSERT_TRUE(kill_actor(w.sys, "/node/a"));
  ASSERT_TRUE(eventually([&] { return w.state("/node/a") == "backoff"; }));
  EXPECT_EQ(kill_actor(w.sys, "/node/a").error().code, error_code::conflict);
  EXPECT_EQ(drain_actor(w.sys, "/node/a", after_drain::stay).error().code, error_code::conflict);
  // The supervisor may not have read the end yet: the order is repeated until it takes it.
  EXPECT_TRUE(eventually([&] { return restart_actor(w.sys, "/node/a") && w.state("/node/a") == "running"; }));
}

/// Each kind of data lane, because the ones that drop keep their messages elsewhere.
class drain : public ::testing::TestWithParam<overflow> {};

TEST_P(drain, finishes_what_is_queued_and_takes_no_more) {
  world w(supervision::strategy::one_for_one, restart::permanent, {}, {.messages_max = 100, .on_overflow = GetParam()});
  auto a = w.at("/node/a");
  std::promise<void> go;
  a.send(work{go.get_future().share()});
  ASSERT_TRUE(eventually([&] { return !inspect(w.sys, "/node/a")->mailbox.handling.empty(); }));
  a.send(work{});
  const int expected = GetParam() == overflow::conflate ? 2 : 3;
  a.send(work{});
  ASSERT_TRUE(drain_actor(w.sys, "/node/a", after_drain::stay));
  EXPECT_EQ(w.state("/node/a"), "draining");
  EXPECT_EQ(a.send(work{}), delivery::dead);
  EXPECT_EQ(w.sys.ask(a, count_work{}, 5s).error().code, error_code::unavailable);
  go.set_value();
  EXPECT_TRUE(eventually([&] { return inspect(w.sys, "/node/a")->mailbox.messages == 0 && w.handled == expected; }));
  EXPECT_TRUE(w.sys.ask(a, health{}, 5s));  // control goes on
  EXPECT_EQ(w.state("/node/a"), "draining");
  EXPECT_EQ(w.started, 2);
  std::uint64_t refused = 0;
  for (auto registry = w.sys.metrics(); auto* m : registry->all())
    if (m->type == "worker") refused = m->dead_letters[static_cast<std::size_t>(dead_letter::draining)];
  EXPECT_EQ(refused, 2u);

  ASSERT_TRUE(restart_actor(w.sys, "/node/a"));  // opens the lane again
  EXPECT_TRUE(eventually([&] { return w.state("/node/a") == "running" && w.started == 3; }));
  EXPECT_TRUE(w.sys.ask(a, count_work{}, 5s));
}

TEST_P(drain, restarts_when_empty) {
  world w(supervision::strategy::one_for_one, restart::permanent, {}, {.messages_max = 100, .on_overflow = GetParam()});
  auto a = w.at("/node/a");
  std::promise<void> go;
  a.send(work{go.get_future().share()});
  ASSERT_TRUE(eventually([&] { return !inspect(w.sys, "/node/a")->mailbox.handling.empty(); }));
  a.send(work{});
  ASSERT_TRUE(drain_actor(w.sys, "/node/a", after_drain::restart));
  EXPECT_EQ(w.started, 2);  // not before the queue is empty
  go.set_value();
  EXPECT_TRUE(eventually([&] { return w.started == 3 && w.state("/node/a") == "running"; }));
  EXPECT_EQ(w.handled, 2);
  EXPECT_EQ(w.stopped, 1);
  EXPECT_TRUE(w.sys.ask(a, count_work{}, 5s));
}

INSTANTIATE_TEST_SUITE_P(administration, drain,
                         ::testing::Values(overflow::reject, overflow::drop_oldest, overflow::conflate),
                         [](auto& info) {
                           return info.param == overflow::reject        ? "reject"
                                  : info.param == overflow::drop_oldest ? "drop_oldest"
                                                                        : "conflate";
                         });

TEST(administration, senders_under_way_do_not_keep_a_drain_from_ending) {
  world w;
  auto a = w.at("/node/a");
  std::atomic<bool> stop{false};
  std::atomic<int> taken{0};
  std::vector<std::thread> senders;
  for (int i = 0; i < 3; ++i)
    senders.emplace_back([&] {
      while (!stop)
        if (a.send(work{}) == delivery::accepted) ++taken;
    });
  ASSERT_TRUE(eventually([&] { return w.handled > 100; }));
  ASSERT_TRUE(drain_actor(w.sys, "/node/a", after_drain::restart));
  EXPECT_TRUE(eventually([&] { return w.started == 3; }));
  stop = true;
  for (auto& t : senders) t.join();
  EXPECT_TRUE(eventually([&] { return w.handled == taken; }));  // nothing that was accepted is lost
}

}  // namespace
}  // namespace horizons::kit
