// Supervisors as actors: what restart_policy decides is carried out, in order, and addresses survive.
#include "runtime/supervision/supervisor.hpp"

#include <gtest/gtest.h>

#include <mutex>
#include <stdexcept>

#include "runtime/kit/system.hpp"
#include "tests/runtime/kit/wait.hpp"

namespace horizons::supervision {
namespace {

using namespace std::chrono_literals;
using kit::restart;
using testing::eventually;

struct crash {};
struct finish_well {};
struct hello {
  using reply = int;
};
using worker_api = kit::accepts<crash, finish_well, hello>;

/// Who started and stopped, in order.
struct record {
  std::mutex m;
  std::vector<std::string> lines;
  void add(std::string s) {
    std::lock_guard l(m);
    lines.push_back(std::move(s));
  }
  std::vector<std::string> take() {
    std::lock_guard l(m);
    return std::exchange(lines, {});
  }
  std::size_t size() {
    std::lock_guard l(m);
    return lines.size();
  }
};

struct world {
  record log;
  std::atomic<int> root_failures{0};
  std::string root_reason;
  kit::system sys{{.on_root_failure = [this](const std::string&, const kit::exit_cause& c) {
    root_reason = c.reason;
    ++root_failures;
  }}};

  child_spec worker(std::string name, restart kind = restart::permanent, bool significant = false) {
    return {.options = {.name = name, .type = "worker"},
            .body =
                [this, name](kit::context& self) {
                  log.add("start " + name);
                  self.on_stop([this, name, &self] {
                    log.add("stop " + name);
                    self.quit();
                  });
                  return kit::behavior{}
                      .on<crash>([](const crash&) { throw std::runtime_error("crashed"); })
                      .on<finish_well>([&self](const finish_well&) { self.quit(); })
                      .on<hello>([](const hello&) -> result<int> { return 42; });
                },
            .child = {.restart = kind, .grace = 2s, .significant = significant}};
  }
  kit::handle<supervisor_api> start(strategy how, std::vector<child_spec> children, restart_limits limits = quick()) {
    auto n = children.size();
    auto s = sys.spawn<supervisor_api>({.name = "sup"}, supervisor(how, limits, std::move(children)));
    EXPECT_TRUE(eventually([&] { return running() == n + 1; }));
    return s;
  }
  static restart_limits quick() { return {.backoff_first = 1ms, .backoff_max = 5ms}; }
  kit::handle<worker_api> find(std::string_view path) { return kit::handle<worker_api>(sys.find(path).cell()); }
  std::size_t running() {
    std::size_t n = 0;
    for (auto& e : sys.tree()) n += e.state == "running";
    return n;
  }
};

using lines = std::vector<std::string>;

TEST(supervisor, starts_in_order_and_stops_in_reverse) {
  world w;
  auto s = w.start(strategy::one_for_one, {w.worker("a"), w.worker("b"), w.worker("c")});
  EXPECT_EQ(w.log.take(), (lines{"start a", "start b", "start c"}));
  EXPECT_TRUE(w.sys.stop(s, 5s));
  EXPECT_EQ(w.log.take(), (lines{"stop c", "stop b", "stop a"}));
}

TEST(supervisor, one_for_one_restarts_only_the_one) {
  world w;
  w.start(strategy::one_for_one, {w.worker("a"), w.worker("b")});
  auto a = w.find("/sup/a");
  w.log.take();
  a.send(crash{});
  EXPECT_TRUE(eventually([&] { return w.log.size() == 1 && w.running() == 3; }));
  EXPECT_EQ(w.log.take(), (lines{"start a"}));
  EXPECT_EQ(w.sys.ask(a, hello{}, 5s), 42);  // the old handle leads to the new life
}

TEST(supervisor, a_name_with_a_slash_is_restarted_too) {
  world w;
  w.start(strategy::rest_for_one, {w.worker("device/0"), w.worker("device/1")});
  w.log.take();
  w.find("/sup/device/0").send(crash{});
  EXPECT_TRUE(eventually([&] { return w.log.size() == 3 && w.running() == 3; }));
  EXPECT_EQ(w.log.take(), (lines{"stop device/1", "start device/0", "start device/1"}));
}

TEST(supervisor, rest_for_one_restarts_those_after) {
  world w;
  w.start(strategy::rest_for_one, {w.worker("a"), w.worker("b"), w.worker("c", restart::temporary), w.worker("d")});
  w.log.take();
  w.find("/sup/b").send(crash{});
  EXPECT_TRUE(eventually([&] { return w.log.size() == 4 && w.running() == 4; }));
  EXPECT_EQ(w.log.take(), (lines{"stop d", "stop c", "start b", "start d"}));
}

TEST(supervisor, one_for_all_restarts_all) {
  world w;
  w.start(strategy::one_for_all, {w.worker("a"), w.worker("b"), w.worker("c")});
  w.log.take();
  w.find("/sup/b").send(crash{});
  EXPECT_TRUE(eventually([&] { return w.log.size() == 5 && w.running() == 4; }));
  EXPECT_EQ(w.log.take(), (lines{"stop c", "stop a", "start a", "start b", "start c"}));
}

TEST(supervisor, too_many_restarts_climb_to_the_root) {
  world w;
  auto inner =
      child_spec{.options = {.name = "inner"},
                 .body = supervisor(strategy::one_for_one, {.restarts_max = 1, .backoff_first = 1ms}, {w.worker("a")})};
  w.sys.spawn<supervisor_api>({.name = "sup"},
                              supervisor(strategy::one_for_one, {.restarts_max = 1, .backoff_first = 1ms}, {inner}));
  auto a = kit::handle<worker_api>();
  EXPECT_TRUE(eventually([&] { return bool(a = w.find("/sup/inner/a")); }));
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(eventually([&] { return w.sys.ask(a, hello{}, 1s).has_value() || w.root_failures; })) << i;
    a.send(crash{});
  }
  EXPECT_TRUE(eventually([&] { return w.root_failures == 1; }));
  EXPECT_NE(w.root_reason.find("last: inner"), std::string::npos) << w.root_reason;
  EXPECT_TRUE(w.sys.tree().empty());
}

TEST(supervisor, a_significant_child_ends_the_supervisor) {
  world w;
  auto s = w.start(strategy::one_for_one, {w.worker("main", restart::transient, true), w.worker("b")});
  w.log.take();
  w.find("/sup/main").send(finish_well{});
  EXPECT_TRUE(eventually([&] { return w.sys.tree().empty(); }));
  EXPECT_EQ(w.log.take(), (lines{"stop b"}));
  EXPECT_EQ(w.root_failures, 0);
}

TEST(supervisor, takes_more_children_at_run_time_and_lists_them) {
  world w;
  auto s = w.start(strategy::one_for_one, {w.worker("a")});
  auto b = w.sys.ask(s, start_child_request{w.worker("b", restart::temporary)}, 5s);
  ASSERT_TRUE(b);
  EXPECT_EQ(b->path(), "/sup/b");
  auto again = w.sys.ask(s, start_child_request{w.worker("b")}, 5s);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, error_code::conflict);
  auto list = w.sys.ask(s, which_children{}, 5s).value();
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0].name, "a");
  EXPECT_EQ(list[1].path, "/sup/b");
  w.find("/sup/b").send(crash{});  // temporary: gone
  EXPECT_TRUE(eventually([&] { return w.sys.ask(s, which_children{}, 5s)->size() == 1; }));
}

TEST(supervisor, a_child_that_ignores_the_request_to_stop_is_killed_after_its_grace) {
  world w;
  auto stubborn = w.worker("stubborn");
  stubborn.child.grace = 30ms;
  stubborn.body = [](kit::context& self) {
    self.on_stop([] {});  // never quits
    return kit::behavior{};
  };
  auto s = w.start(strategy::one_for_one, {stubborn});
  EXPECT_TRUE(w.sys.stop(s, 5s));
  EXPECT_TRUE(w.sys.tree().empty());
}

TEST(supervisor, a_body_that_throws_counts_as_a_failure) {
  world w;
  auto bad = w.worker("bad");
  bad.body = [](kit::context&) -> kit::behavior { throw std::runtime_error("no device"); };
  w.sys.spawn<supervisor_api>({.name = "sup"},
                              supervisor(strategy::one_for_one, {.restarts_max = 2, .backoff_first = 1ms}, {bad}));
  EXPECT_TRUE(eventually([&] { return w.root_failures == 1; }));
  EXPECT_NE(w.root_reason.find("limit 2"), std::string::npos);
}

TEST(supervisor, stays_alive_though_nobody_holds_its_handle) {
  world w;
  w.start(strategy::one_for_one, {w.worker("a")});
  w.log.take();
  for (int i = 0; i < 3; ++i) {
    w.find("/sup/a").send(crash{});
    EXPECT_TRUE(eventually([&] { return w.log.size() == 1 && w.running() == 2; }));
    w.log.take();
  }
}

}  // namespace
}  // namespace horizons::supervision
