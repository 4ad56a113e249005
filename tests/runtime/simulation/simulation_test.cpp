// The simulation itself: virtual time, faults between nodes, crashes, and the same run from the same seed.
#include "runtime/simulation/simulation.hpp"

#include <gtest/gtest.h>

#include <set>

#include "runtime/supervision/supervisor.hpp"

namespace horizons::simulation {
namespace {

using namespace std::chrono_literals;

struct deliver {
  static constexpr auto lane = kit::lane::control;
  std::string from, bytes;
};
struct count {
  using reply = int;
};
using api = kit::accepts<deliver, count>;

/// Sends a numbered packet to `peer` every second until it is acknowledged; counts what it gets, once each.
kit::actor_body chatter(simulation& sim, std::string me, std::string peer, int packets) {
  return [&sim, me, peer, packets](kit::context& self) {
    auto acknowledged = std::make_shared<int>(0);
    auto got = std::make_shared<std::set<std::string>>();
    auto tick = std::make_shared<std::function<void()>>();
    *tick = [&sim, &self, me, peer, packets, acknowledged, weak = std::weak_ptr(tick)] {
      if (*acknowledged < packets) sim.send(me, peer, "n" + std::to_string(*acknowledged));
      if (auto again = weak.lock()) self.after(1s, [again] { (*again)(); });
    };
    (*tick)();
    return kit::behavior{}
        .on<deliver>([&sim, me, acknowledged, got](const deliver& d) {
          if (d.bytes[0] == 'n') {
            got->insert(d.bytes);
            sim.send(me, d.from, "a" + d.bytes.substr(1));
          } else if (std::stoi(d.bytes.substr(1)) == *acknowledged) {
            ++*acknowledged;
          }
        })
        .on<count>([got, tick](const count&) -> result<int> { return static_cast<int>(got->size()); });
  };
}

struct pair_of_nodes {
  simulation sim;
  std::map<std::string, kit::handle<api>> actors;
  explicit pair_of_nodes(std::uint64_t seed) : sim(seed) {
    start("a", "b");
    start("b", "a");
  }
  void start(std::string me, std::string peer) {
    sim.boot(me, [this, me, peer](kit::system& node) {
      auto h = node.spawn<api>({.name = "chat"}, chatter(sim, me, peer, 5));
      actors[me] = h;
      sim.listen(me, [h](const std::string& from, const std::string& bytes) { h.send(deliver{from, bytes}); });
    });
  }
  int got(const std::string& name) { return sim.ask(name, actors[name], count{}, 1s).value_or(-1); }
};

TEST(simulation, hours_pass_in_an_instant) {
  simulation sim(1);
  int fired = 0;
  sim.boot("n", [&](kit::system& node) {
    node.spawn<api>({.name = "clock"}, [&](kit::context& self) {
      for (int h = 1; h <= 24; ++h) self.after(std::chrono::hours(h), [&fired] { ++fired; });
      return kit::behavior{};
    });
  });
  sim.run_for(std::chrono::hours(12) + 1s);
  EXPECT_EQ(fired, 12);
  sim.run_for(std::chrono::hours(12));
  EXPECT_EQ(fired, 24);
}

TEST(simulation, retries_get_through_a_bad_network) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    pair_of_nodes p(seed);
    p.sim.set_faults({.drop = 0.3, .duplicate = 0.2, .delay_min = 1ms, .delay_max = 1500ms});
    EXPECT_TRUE(p.sim.run_until([&] { return p.got("a") == 5 && p.got("b") == 5; }, 600s)) << p.sim.summary();
  }
}

TEST(simulation, the_same_seed_gives_the_same_run) {
  auto run = [](std::uint64_t seed) {
    pair_of_nodes p(seed);
    p.sim.set_faults({.drop = 0.2, .duplicate = 0.2, .delay_min = 1ms, .delay_max = 900ms});
    p.sim.slow_down("b", 4);
    p.sim.run_for(20s);
    p.sim.restart("b");
    p.sim.run_for(20s);
    return std::pair(p.sim.digest(), std::vector(p.sim.log().begin(), p.sim.log().end()));
  };
  auto a = run(7);
  EXPECT_EQ(a, run(7));
  EXPECT_NE(a.first, run(8).first);
  EXPECT_GT(a.second.size(), 50u);
}

TEST(simulation, a_partition_stops_all_and_heals) {
  pair_of_nodes p(3);
  p.sim.partition({"a"}, {"b"});
  p.sim.run_for(30s);
  EXPECT_EQ(p.got("a"), 0);
  p.sim.heal();
  EXPECT_TRUE(p.sim.run_until([&] { return p.got("a") == 5; }, 60s)) << p.sim.summary();
}

TEST(simulation, a_crash_loses_what_was_in_memory_and_runs_no_handler) {
  pair_of_nodes p(4);
  ASSERT_TRUE(p.sim.run_until([&] { return p.got("b") == 5; }, 60s)) << p.sim.summary();
  p.sim.crash("b");
  EXPECT_FALSE(p.sim.alive("b"));
  EXPECT_EQ(p.actors["b"].send(deliver{"a", "n1"}), kit::delivery::dead);
  p.sim.restart("b");
  EXPECT_EQ(p.got("b"), 0);
}

TEST(simulation, wall_time_jumps_without_touching_durations) {
  simulation sim(1);
  auto& node = sim.node("n");
  auto wall = node.utc();
  auto mono = node.now();
  sim.jump_wall_time("n", -1h);
  EXPECT_EQ(node.utc() - wall, -1h);
  EXPECT_EQ(node.now(), mono);
}

TEST(simulation, supervisors_back_off_in_virtual_time) {
  using namespace supervision;
  simulation sim(5);
  std::vector<std::int64_t> starts;
  sim.boot("n", [&](kit::system& node) {
    child_spec failing{
        .options = {.name = "failing"}, .body = [&](kit::context& self) -> kit::behavior {
          starts.push_back(std::chrono::duration_cast<milliseconds>(self.now().time_since_epoch()).count());
          throw std::runtime_error("no");
        }};
    node.spawn<supervisor_api>(
        {.name = "sup"},
        supervisor(strategy::one_for_one, {.restarts_max = 4, .backoff_first = 100ms, .jitter = 0}, {failing}));
  });
  sim.run_for(60s);
  ASSERT_EQ(starts.size(), 5u);
  for (auto [i, expected] : {std::pair{1u, 100}, {2u, 200}, {3u, 400}, {4u, 800}})
    EXPECT_NEAR(static_cast<double>(starts[i] - starts[i - 1]), expected, 2) << i;
  EXPECT_NE(sim.summary().find("root /sup failed"), std::string::npos) << sim.summary();
}

TEST(simulation, a_blocking_actor_runs_cooperatively) {
  simulation sim(6);
  auto h = sim.node("n").spawn_blocking<api>({.name = "blocking"}, [](kit::context&) {
    return kit::behavior{}.on<count>([](const count&) -> result<int> { return 3; });
  });
  EXPECT_EQ(sim.ask("n", h, count{}, 1s), 3);
}

}  // namespace
}  // namespace horizons::simulation
