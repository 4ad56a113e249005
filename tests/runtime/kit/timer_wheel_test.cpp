// The wheel of all timers: each fires once, in order of time, never early and at most a tick late; cancelled ones
// never.
#include "runtime/kit/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace horizons::kit::detail {
namespace {

using namespace std::chrono_literals;

struct probe final : timer::state {
  explicit probe(std::function<void()> f) : on_fire(std::move(f)) {}
  void fire() override { on_fire(); }
  void cancelled() override { ++cancellations; }
  void called_off() override { ++calls; }
  std::function<void()> on_fire;
  int cancellations = 0, calls = 0;
};

struct wheel : ::testing::Test {
  instant start{1h};
  std::shared_ptr<timer_wheel> w = std::make_shared<timer_wheel>(start);
  std::vector<std::string> fired;

  std::shared_ptr<probe> set(std::chrono::nanoseconds after, const std::string& name) {
    auto p = std::make_shared<probe>([this, name] { fired.push_back(name); });
    w->set(p, start + after);
    return p;
  }
  std::vector<std::string> advance(std::chrono::nanoseconds to) {
    w->advance(start + to);
    return std::exchange(fired, {});
  }
};
using names = std::vector<std::string>;

TEST_F(wheel, fires_in_order_of_time_and_in_order_of_setting) {
  set(30ms, "c");
  set(10ms, "a");
  set(20ms, "b1");
  set(20ms, "b2");
  EXPECT_EQ(w->size(), 4u);
  EXPECT_EQ(advance(9ms), names{});
  EXPECT_EQ(advance(10ms), names{"a"});
  EXPECT_EQ(advance(1s), (names{"b1", "b2", "c"}));
  EXPECT_EQ(w->size(), 0u);
  EXPECT_EQ(w->next(), instant::max());
}

TEST_F(wheel, is_never_early_and_at_most_one_tick_late) {
  set(1'500us, "x");  // between two ticks
  EXPECT_EQ(advance(1'999us), names{});
  EXPECT_EQ(advance(2ms), names{"x"});
  set(0ms, "past");  // is due: the next tick
  EXPECT_EQ(advance(3ms), names{"past"});
}

TEST_F(wheel, far_timers_come_down_level_by_level) {
  // Around every border of the levels, and beyond the last one (12 days).
  std::vector<std::chrono::milliseconds> dues;
  for (std::int64_t reach = 64; reach <= (std::int64_t{1} << 30); reach *= 64)
    for (auto d : {-1, 0, 1}) dues.emplace_back(reach + d);
  dues.emplace_back(std::chrono::hours(24 * 40));
  for (auto d : dues) set(d, std::to_string(d.count()));
  for (auto d : dues) {
    EXPECT_EQ(advance(d - 1ms), names{}) << d.count();
    EXPECT_EQ(advance(d), names{std::to_string(d.count())});
  }
}

TEST_F(wheel, cancelled_timers_never_fire) {
  auto a = set(10ms, "a");
  auto b = set(10ms, "b");
  a->cancel();
  a->cancel();
  EXPECT_EQ(w->size(), 1u);
  EXPECT_EQ(a->cancellations, 1);
  EXPECT_EQ(a->calls, 2);
  EXPECT_EQ(advance(1s), names{"b"});
  b->cancel();  // too late: it is told, nothing else
  EXPECT_EQ(b->cancellations, 0);
  EXPECT_EQ(b->calls, 1);
}

TEST_F(wheel, a_cancelled_timer_is_let_go_at_once) {
  auto a = set(1h, "a");
  std::weak_ptr<probe> weak = a;
  a->cancel();
  a.reset();
  EXPECT_TRUE(weak.expired());
}

TEST_F(wheel, a_timer_may_set_and_cancel_others_while_it_fires) {
  auto victim = set(20ms, "victim");
  auto p = std::make_shared<probe>([&] {
    fired.push_back("first");
    victim->cancel();
    set(15ms, "second");
  });
  w->set(p, start + 10ms);
  EXPECT_EQ(advance(10ms), names{"first"});
  EXPECT_EQ(advance(1s), names{"second"});
}

TEST_F(wheel, stopping_calls_off_what_is_left) {
  auto a = set(10ms, "a");
  w->stop();
  EXPECT_EQ(a->cancellations, 1);
  EXPECT_EQ(w->size(), 0u);
  set(1ms, "late");
  EXPECT_EQ(w->size(), 0u);
  EXPECT_EQ(advance(1s), names{});
}

/// Against the obvious twin: a sorted map.
TEST(wheel_property, agrees_with_a_sorted_list) {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    auto below = [&](std::uint64_t n) { return static_cast<std::int64_t>(random() % n); };
    instant start{1h};
    auto w = std::make_shared<timer_wheel>(start);
    std::multimap<std::int64_t, int> twin;
    std::map<int, std::shared_ptr<probe>> live;
    std::set<int> fired;
    std::int64_t now = 0;
    for (int id = 0, step = 0; step < 3'000; ++step) {
      if (below(3) != 0) {
        const auto spread = std::int64_t{1} << below(28);
        const auto due = now + 1 + below(static_cast<std::uint64_t>(spread));
        auto p = std::make_shared<probe>([&fired, id] { fired.insert(id); });
        w->set(p, start + milliseconds{due});
        twin.emplace(due, id);
        live[id++] = p;
      } else if (below(3) == 0 && !live.empty()) {
        auto at = std::next(live.begin(), below(live.size()));
        at->second->cancel();
        std::erase_if(twin, [&](auto& t) { return t.second == at->first; });
        live.erase(at);
      } else {
        now += below(std::uint64_t{1} << below(24));
        std::set<int> expected;
        while (!twin.empty() && twin.begin()->first <= now) {
          expected.insert(twin.begin()->second);
          live.erase(twin.begin()->second);
          twin.erase(twin.begin());
        }
        fired.clear();
        ASSERT_EQ(w->advance(start + milliseconds{now}), expected.size());
        ASSERT_EQ(fired, expected);
      }
      ASSERT_EQ(w->size(), twin.size());
      const auto first = twin.empty() ? instant::max() : start + milliseconds{twin.begin()->first};
      ASSERT_LE(w->next(), first);
    }
  }
}

TEST(wheel_thread, turns_by_itself_and_wakes_for_an_earlier_timer) {
  auto w = std::make_shared<timer_wheel>(std::chrono::steady_clock::now());
  w->run_thread();
  std::atomic<int> fired{0};
  auto late = std::make_shared<probe>([&] { fired += 100; });
  w->set(late, std::chrono::steady_clock::now() + 1h);
  auto soon = std::make_shared<probe>([&] { ++fired; });
  const auto due = std::chrono::steady_clock::now() + 5ms;
  w->set(soon, due);
  for (const auto end = due + 10s; fired == 0 && std::chrono::steady_clock::now() < end;) std::this_thread::yield();
  EXPECT_EQ(fired, 1);
  EXPECT_GE(std::chrono::steady_clock::now(), due);
  w->stop();
  EXPECT_EQ(fired, 1);
  EXPECT_EQ(late->cancellations, 1);
}

}  // namespace
}  // namespace horizons::kit::detail
