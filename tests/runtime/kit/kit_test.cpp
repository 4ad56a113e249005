// The actor kit as its callers see it: messages, requests, limits, timers, children, shutdown.
#include "runtime/kit/kit.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <thread>

#include "runtime/kit/system.hpp"
#include "tests/runtime/kit/wait.hpp"

namespace horizons::kit {
namespace {

using namespace std::chrono_literals;
using testing::eventually;

struct add {
  int n;
};
struct total {
  using reply = int;
};
struct boom {};
struct ask_boom {
  using reply = int;
};
struct never {  // the promise is dropped
  using reply = int;
};
struct later {  // the promise is kept
  using reply = int;
};
using counter_api = accepts<add, total, boom, ask_boom, never, later>;

behavior counter(context&) {
  auto sum = std::make_shared<int>(0);
  auto kept = std::make_shared<std::vector<promise<int>>>();
  return behavior{}
      .on<add>([sum](const add& m) { *sum += m.n; })
      .on<total>([sum](const total&) -> result<int> { return *sum; })
      .on<boom>([](const boom&) { throw std::runtime_error("dish 7 fell over"); })
      .on<ask_boom>([](const ask_boom&) -> result<int> { throw std::runtime_error("no beam"); })
      .on<never>([](const never&, promise<int>) {})
      .on<later>([kept](const later&, promise<int> p) { kept->push_back(std::move(p)); });
}

TEST(kit, messages_arrive_in_order_and_requests_are_answered) {
  kit::system sys;
  auto h = sys.spawn<counter_api>({.name = "counter"}, counter);
  for (int i = 1; i <= 1000; ++i) EXPECT_EQ(h.send(add{i}), delivery::accepted);
  EXPECT_EQ(sys.ask(h, total{}, 5s), 500'500);
  EXPECT_EQ(h.path(), "/counter");
  EXPECT_EQ(sys.find("/counter"), h);
  EXPECT_FALSE(sys.find("/nobody"));
}

TEST(kit, a_dropped_promise_is_an_error) {
  kit::system sys;
  auto h = sys.spawn<counter_api>({.name = "counter"}, counter);
  auto r = sys.ask(h, never{}, 5s);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, error_code::internal);
}

TEST(kit, a_request_times_out) {
  kit::system sys;
  auto h = sys.spawn<counter_api>({.name = "counter"}, counter);
  auto r = sys.ask(h, later{}, 20ms);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, error_code::timed_out);
}

TEST(kit, an_exception_ends_the_actor_and_fails_its_requests) {
  std::promise<exit_cause> ended;
  kit::system sys({.on_root_failure = [&](const std::string&, const exit_cause& c) { ended.set_value(c); }});
  auto h = sys.spawn<counter_api>({.name = "counter"}, counter);
  auto kept = std::async(std::launch::async, [&] { return sys.ask(h, later{}, 60s); });
  ASSERT_TRUE(eventually([&] { return sys.ask(h, total{}, 5s).has_value(); }));
  auto r = sys.ask(h, ask_boom{}, 60s);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, error_code::unavailable);
  EXPECT_NE(r.error().text.find("no beam"), std::string::npos) << r.error().text;
  auto cause = ended.get_future().get();
  EXPECT_EQ(cause.how, exit_cause::kind::failed);
  EXPECT_EQ(cause.reason, "no beam");
  EXPECT_FALSE(kept.get());  // at once, not after 60 s
  EXPECT_EQ(h.send(add{1}), delivery::dead);
  auto dead = sys.ask(h, total{}, 60s);
  ASSERT_FALSE(dead);
  EXPECT_EQ(dead.error().code, error_code::unavailable);
}

struct gate {
  std::mutex m;
  std::condition_variable c;
  bool open = false;
  void pass() {
    std::unique_lock l(m);
    c.wait(l, [&] { return open; });
  }
  void unlock() {
    std::lock_guard l(m);
    open = true;
    c.notify_all();
  }
};
struct sample {
  int key;
  int value;
  std::uint64_t conflate_key() const { return static_cast<std::uint64_t>(key); }
};
struct seen {
  using reply = std::vector<int>;
};
struct hold {
  std::shared_ptr<gate> g;
};
struct ping {
  static constexpr auto lane = kit::lane::control;
  using reply = int;
};
using sink_api = accepts<sample, seen, hold, ping>;

behavior sink(context&) {
  auto values = std::make_shared<std::vector<int>>();
  return behavior{}
      .on<sample>([values](const sample& s) { values->push_back(s.value); })
      .on<seen>([values](const seen&) -> result<std::vector<int>> { return *values; })
      .on<hold>([](const hold& h) { h.g->pass(); })
      .on<ping>([](const ping&) -> result<int> { return 1; });
}

struct held_sink {
  kit::system sys;
  std::shared_ptr<gate> g = std::make_shared<gate>();
  handle<sink_api> h;
  explicit held_sink(lane_limits limits) {
    h = sys.spawn<sink_api>({.name = "sink", .limits = limits}, sink);
    h.send(hold{g});
    eventually([&] { return sys.tree().at(0).mailbox == 0; });
  }
  ~held_sink() { g->unlock(); }
  std::vector<int> values() {
    g->unlock();
    return sys.ask(h, seen{}, 5s).value();
  }
};

TEST(lane, reject_tells_the_sender_at_the_limit) {
  held_sink s({.messages_max = 3});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(s.h.send(sample{i, i}), delivery::accepted);
  EXPECT_EQ(s.h.send(sample{9, 9}), delivery::rejected_full);
  s.g->unlock();
  ASSERT_TRUE(eventually([&] { return s.sys.tree().at(0).mailbox == 0; }));
  EXPECT_EQ(s.values(), (std::vector{0, 1, 2}));
}

TEST(lane, drop_oldest_keeps_the_newest) {
  held_sink s({.messages_max = 3, .on_overflow = overflow::drop_oldest});
  for (int i = 0; i < 10; ++i) EXPECT_EQ(s.h.send(sample{i, i}), delivery::accepted);
  s.g->unlock();
  ASSERT_TRUE(eventually([&] { return s.sys.tree().at(0).mailbox == 0; }));
  EXPECT_EQ(s.values(), (std::vector{7, 8, 9}));
}

TEST(lane, conflate_keeps_the_latest_of_each_key) {
  held_sink s({.messages_max = 3, .on_overflow = overflow::conflate});
  for (int i = 0; i < 10; ++i) EXPECT_EQ(s.h.send(sample{i % 2, i}), delivery::accepted);
  s.g->unlock();
  ASSERT_TRUE(eventually([&] { return s.sys.tree().at(0).mailbox == 0; }));
  EXPECT_EQ(s.values(), (std::vector{8, 9}));
}

TEST(lane, bytes_are_bounded_too) {
  held_sink s({.messages_max = 1000, .bytes_max = 2 * sizeof(sample)});
  EXPECT_EQ(s.h.send(sample{1, 1}), delivery::accepted);
  EXPECT_EQ(s.h.send(sample{2, 2}), delivery::accepted);
  EXPECT_EQ(s.h.send(sample{3, 3}), delivery::rejected_full);
}

TEST(lane, control_is_never_bounded_and_overtakes) {
  held_sink s({.messages_max = 1});
  s.h.send(sample{1, 1});
  std::atomic<int> answered{0};
  for (int i = 0; i < 100; ++i) s.sys.ask(s.h, ping{}, 10s, [&](result<int> r) { answered += r.has_value(); });
  s.g->unlock();
  EXPECT_TRUE(eventually([&] { return answered == 100; }));
}

// --- inside an actor ---

struct go {
  using reply = std::string;
};
using probe_api = accepts<go, add>;

/// Runs `f` in an actor that answers with what `f` hands to its promise.
handle<probe_api> probe(kit::system& sys, std::string name, std::function<void(context&, promise<std::string>)> f) {
  return sys.spawn<probe_api>({.name = std::move(name)}, [f](context& self) {
    return behavior{}
        .on<go>([f, &self](const go&, promise<std::string> p) { f(self, std::move(p)); })
        .on<add>([](const add&) {});
  });
}

TEST(context, asks_another_actor_and_hears_its_errors) {
  kit::system sys;
  auto target = sys.spawn<counter_api>({.name = "counter"}, counter);
  target.send(add{7});
  auto asker = probe(sys, "asker", [target](context& self, promise<std::string> p) {
    self.request(target, total{}, 5s, [p, target, &self](result<int> r) {
      self.request(target, later{}, 10ms, [p, n = r.value()](result<int> late) {
        p.deliver(std::to_string(n) + " " + std::string(to_string(late.error().code)));
      });
    });
  });
  EXPECT_EQ(sys.ask(asker, go{}, 5s), "7 timed_out");
}

TEST(context, timers_fire_once_in_order_and_can_be_cancelled) {
  kit::system sys;
  auto actor = probe(sys, "clock", [](context& self, promise<std::string> p) {
    auto log = std::make_shared<std::string>();
    auto off = self.after(5ms, [log] { *log += "cancelled "; });
    self.after(20ms, [log, p] { p.deliver(*log + "c"); });
    self.after(10ms, [log] { *log += "b "; });
    self.after(0ms, [log] { *log += "a "; });
    off.cancel();
  });
  EXPECT_EQ(sys.ask(actor, go{}, 5s), "a b c");
}

TEST(context, the_mailbox_executor_runs_in_the_actor_from_any_thread_until_it_ends) {
  kit::system sys;
  std::function<bool(std::function<void()>)> run;
  auto actor = probe(sys, "exec", [&](context& self, promise<std::string> p) {
    run = self.mailbox_executor();
    std::thread([run = run, p, &self] { run([p, &self] { p.deliver(self.path()); }); }).detach();
  });
  EXPECT_EQ(sys.ask(actor, go{}, 5s), "/exec");
  EXPECT_TRUE(sys.stop(actor, 5s));
  EXPECT_FALSE(run([] {}));
}

TEST(context, a_monitor_tells_once_why_somebody_ended) {
  kit::system sys;
  auto target = sys.spawn<counter_api>({.name = "counter"}, counter);
  auto watcher = probe(sys, "watcher", [target](context& self, promise<std::string> p) {
    self.monitor(target, [p](const exit_cause& c) { p.deliver(c.reason); });
    target.send(boom{});
  });
  EXPECT_EQ(sys.ask(watcher, go{}, 5s), "dish 7 fell over");
  EXPECT_EQ(sys.ask(watcher, go{}, 5s), "dish 7 fell over");  // already ended: told at once
}

TEST(context, a_handle_stays_valid_over_the_restart_of_a_permanent_child) {
  kit::system sys;
  handle<counter_api> child;
  auto parent = probe(sys, "parent", [&](context& self, promise<std::string> p) {
    child = self.spawn<counter_api>({.name = "child"}, counter, {.restart = restart::permanent});
    p.deliver(child.path());
  });
  ASSERT_EQ(sys.ask(parent, go{}, 5s), "/parent/child");
  child.send(add{5});
  EXPECT_EQ(sys.ask(child, total{}, 5s), 5);
  child.send(boom{});
  ASSERT_TRUE(eventually([&] {
    auto t = sys.tree();
    return t.size() == 2 && t[1].restarts == 1 && t[1].state == "running";
  }));
  EXPECT_EQ(sys.ask(child, total{}, 5s), 0);  // fresh state behind the same handle
  EXPECT_EQ(sys.tree()[1].last_error, "dish 7 fell over");
  EXPECT_EQ(sys.find("/parent/child"), child);
}

TEST(context, children_end_with_their_parent_in_reverse_order) {
  kit::system sys;
  std::mutex m;
  std::vector<std::string> ended;
  auto parent = probe(sys, "parent", [&](context& self, promise<std::string> p) {
    for (auto name : {"a", "b", "c"})
      self.spawn<counter_api>({.name = name}, [&](context& child) {
        child.on_stop([&] {
          std::lock_guard l(m);
          ended.push_back(child.path());
          child.quit();
        });
        return behavior{};
      });
    p.deliver("");
  });
  sys.ask(parent, go{}, 5s);
  ASSERT_TRUE(eventually([&] { return sys.tree().size() == 4; }));
  EXPECT_TRUE(sys.stop(parent, 5s));
  EXPECT_EQ(ended, (std::vector<std::string>{"/parent/c", "/parent/b", "/parent/a"}));
  EXPECT_TRUE(sys.tree().empty());
}

TEST(context, names_are_unique_among_siblings) {
  kit::system sys;
  sys.spawn<counter_api>({.name = "twin"}, counter);
  EXPECT_THROW(sys.spawn<counter_api>({.name = "twin"}, counter), std::invalid_argument);
}

TEST(context, a_blocking_actor_has_a_thread_of_its_own) {
  kit::system sys({.threads = 2});
  auto g = std::make_shared<gate>();
  std::vector<handle<sink_api>> blocked;
  for (int i = 0; i < 4; ++i) {
    blocked.push_back(sys.spawn_blocking<sink_api>({.name = "blocked" + std::to_string(i)}, sink));
    blocked.back().send(hold{g});
  }
  auto free = sys.spawn<counter_api>({.name = "free"}, counter);
  EXPECT_EQ(sys.ask(free, total{}, 5s), 0);
  g->unlock();
}

TEST(system, shutdown_is_bounded_and_names_the_survivors) {
  auto g = std::make_shared<gate>();
  {
    kit::system sys;
    auto stuck = sys.spawn_blocking<sink_api>({.name = "stuck"}, sink);
    sys.spawn<counter_api>({.name = "fine"}, counter);
    stuck.send(hold{g});
    ASSERT_TRUE(eventually([&] { return sys.tree().at(1).mailbox == 0; }));
    auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(sys.shutdown(1'500ms), std::vector<std::string>{"/stuck"});
    EXPECT_LT(std::chrono::steady_clock::now() - before, 3s);
    g->unlock();
    EXPECT_TRUE(eventually([&] { return sys.shutdown(10ms).empty(); }));
  }
}

TEST(system, a_handle_may_outlive_its_system) {
  handle<counter_api> h;
  {
    kit::system sys;
    h = sys.spawn<counter_api>({.name = "counter"}, counter);
    h.send(add{1});
  }
  EXPECT_EQ(h.send(add{1}), delivery::dead);
  EXPECT_EQ(h.path(), "/counter");
}

TEST(system, fifty_starts_and_stops_leave_nobody) {
  for (int i = 0; i < 50; ++i) {
    kit::system sys;
    auto h = sys.spawn<counter_api>({.name = "counter"}, counter);
    for (int k = 0; k < 20; ++k) h.send(add{k});
    sys.spawn_blocking<counter_api>({.name = "thread"}, counter);
    EXPECT_TRUE(sys.shutdown(5s).empty());
  }
}

TEST(system, many_senders_one_receiver_loses_nothing) {
  kit::system sys;
  auto h = sys.spawn<counter_api>({.name = "counter", .limits = {.messages_max = 1'000'000}}, counter);
  std::vector<std::thread> senders;
  for (int t = 0; t < 4; ++t)
    senders.emplace_back([h] {
      for (int i = 0; i < 5'000; ++i) h.send(add{1});
    });
  for (auto& t : senders) t.join();
  EXPECT_EQ(sys.ask(h, total{}, 10s), 20'000);
}

}  // namespace
}  // namespace horizons::kit
