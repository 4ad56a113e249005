#include "actors/jobs/scheduler_core.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace horizons::jobs {
namespace {

using namespace std::chrono_literals;
const instant t0{};

job_key key(std::string id) { return {"default", std::move(id)}; }

TEST(scheduler_core, priority_then_first_come) {
  scheduler_core s;
  s.enqueue(key("low"), 5, 1, t0);
  s.enqueue(key("b"), 3, 3, t0);
  s.enqueue(key("a"), 3, 2, t0);
  s.enqueue(key("urgent"), 1, 4, t0);
  s.device_up("cpu/0", 1);
  std::vector<std::string> order;
  for (int i = 0; i < 4; ++i) {
    auto got = s.assign(t0);
    ASSERT_EQ(got.size(), 1u);
    order.push_back(got[0].job.job_id);
    EXPECT_TRUE(s.assign(t0).empty());  // one slot
    s.release("cpu/0");
  }
  EXPECT_EQ(order, (std::vector<std::string>{"urgent", "a", "b", "low"}));
}

TEST(scheduler_core, a_job_that_waits_long_enough_overtakes) {
  scheduler_core s({.ageing = 600s});
  s.enqueue(key("old"), 5, 1, t0);
  s.enqueue(key("fresh"), 1, 2, t0 + 2'500s);
  EXPECT_EQ(s.ahead_of(key("fresh"), t0 + 2'500s), 1u);
  s.device_up("cpu/0", 1);
  EXPECT_EQ(s.assign(t0 + 2'500s)[0].job.job_id, "old");
}

TEST(scheduler_core, says_how_many_are_ahead) {
  scheduler_core s;
  s.enqueue(key("a"), 3, 1, t0);
  s.enqueue(key("b"), 3, 2, t0);
  s.enqueue(key("c"), 2, 3, t0);
  EXPECT_EQ(s.ahead_of(key("c"), t0), 0u);
  EXPECT_EQ(s.ahead_of(key("a"), t0), 1u);
  EXPECT_EQ(s.ahead_of(key("b"), t0), 2u);
  EXPECT_FALSE(s.ahead_of(key("x"), t0));
}

TEST(scheduler_core, leaving_and_waiting_twice) {
  scheduler_core s;
  s.enqueue(key("a"), 3, 1, t0);
  s.enqueue(key("a"), 1, 9, t0);
  EXPECT_EQ(s.waiting(), 1u);
  s.dequeue(key("a"));
  s.dequeue(key("a"));
  s.device_up("cpu/0", 4);
  EXPECT_TRUE(s.assign(t0).empty());
  EXPECT_EQ(s.free_slots(), 4u);
}

// Random traffic: never more units than slots, nobody is assigned twice, everybody gets a turn.
TEST(scheduler_core, random_traffic) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    std::mt19937_64 random(seed);
    scheduler_core s({.ageing = 10s});
    s.device_up("cpu/0", 1);
    s.device_up("gpu/0", 2);
    std::multiset<std::string> running;
    std::set<std::string> waiting, done;
    instant now = t0;
    for (std::uint64_t i = 0; i < 400; ++i) {
      now += std::chrono::milliseconds(random() % 500);
      if (i < 200) {
        auto id = std::to_string(i);
        s.enqueue(key(id), 1 + static_cast<int>(random() % 5), i + 1, now);
        waiting.insert(id);
      }
      for (auto& a : s.assign(now)) {
        EXPECT_EQ(waiting.erase(a.job.job_id), 1u);
        EXPECT_TRUE(done.insert(a.job.job_id).second);
        running.insert(a.device);
      }
      EXPECT_LE(running.count("cpu/0"), 1u);
      EXPECT_LE(running.count("gpu/0"), 2u);
      if (!running.empty() && random() % 2 == 0) {
        s.release(*running.begin());
        running.erase(running.begin());
      }
    }
    while (!waiting.empty()) {
      ASSERT_FALSE(running.empty());
      s.release(*running.begin());
      running.erase(running.begin());
      for (auto& a : s.assign(now)) {
        waiting.erase(a.job.job_id);
        running.insert(a.device);
      }
    }
    EXPECT_EQ(s.waiting(), 0u);
  }
}

}  // namespace
}  // namespace horizons::jobs
