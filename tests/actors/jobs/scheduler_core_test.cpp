#include "actors/jobs/scheduler_core.hpp"

#include <gtest/gtest.h>

namespace horizons::jobs {
namespace {

using namespace std::chrono_literals;
const instant t0{};

job_key key(std::string id) { return {"default", std::move(id)}; }

TEST(scheduler_core, says_how_many_are_ahead) {
  scheduler_core s;
  s.enqueue({key("a"), 3, 1}, t0);
  s.enqueue({key("b"), 3, 2}, t0);
  s.enqueue({key("c"), 2, 3}, t0);
  EXPECT_EQ(s.ahead_of(key("c"), t0), 0u);
  EXPECT_EQ(s.ahead_of(key("a"), t0), 1u);
  EXPECT_EQ(s.ahead_of(key("b"), t0), 2u);
  EXPECT_FALSE(s.ahead_of(key("x"), t0));
  EXPECT_EQ(s.why(key("x"), t0), "");
}

TEST(scheduler_core, leaving_and_waiting_twice) {
  scheduler_core s;
  s.enqueue({key("a"), 3, 1}, t0);
  s.enqueue({key("a"), 1, 9}, t0);
  s.enqueue({{"lab", "a"}, 3, 2}, t0);  // another job
  EXPECT_EQ(s.waiting(), 2u);
  EXPECT_EQ(s.waiting_of("default"), 1u);
  EXPECT_EQ(s.waiting_of("lab"), 1u);
  EXPECT_EQ(s.waiting_of("nobody"), 0u);
  s.dequeue(key("a"));
  s.dequeue(key("a"));
  s.dequeue({"lab", "a"});
  s.device_up("cpu/0", 4);
  EXPECT_TRUE(s.assign(t0).empty());
  EXPECT_EQ(s.free_slots(), 4u);
}

TEST(scheduler_core, waiting_again_is_for_the_attempt_said_last) {
  scheduler_core s;
  s.enqueue({key("a"), 3, 1, 1}, t0);
  s.enqueue({key("a"), 3, 1, 2}, t0);
  s.device_up("cpu/0", 1);
  auto got = s.assign(t0);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].attempt, 2);
  EXPECT_FALSE(s.release(key("a"), 1, t0));
  EXPECT_EQ(s.free_slots(), 0u);
  EXPECT_TRUE(s.release(key("a"), 2, t0));
  EXPECT_FALSE(s.release(key("a"), 2, t0));
  EXPECT_EQ(s.free_slots(), 1u);
}

TEST(scheduler_core, a_device_that_restarts_keeps_what_is_known_to_hold_it) {
  scheduler_core s;
  s.device_up("cpu/0", 2);
  s.enqueue({key("a"), 3, 1}, t0);
  ASSERT_EQ(s.assign(t0).size(), 1u);
  s.device_down("cpu/0");
  EXPECT_EQ(s.free_slots(), 0u);
  s.device_up("cpu/0", 2);
  EXPECT_EQ(s.free_slots(), 1u);
  s.found_running({key("a"), 3, 1}, {"cpu/0"}, t0);  // it is there: known
  EXPECT_EQ(s.free_slots(), 1u);
  s.device_down("cpu/0");
  EXPECT_TRUE(s.release(key("a"), 1, t0));
  s.device_up("cpu/0", 2);
  EXPECT_EQ(s.free_slots(), 2u);
}

}  // namespace
}  // namespace horizons::jobs
