// The relay's pure parts: what is under way, how bursts are spaced, what is remembered of jobs.
#include "gateways/kafka/relay_window.hpp"

#include <gtest/gtest.h>

namespace horizons::kafka {
namespace {

using namespace std::chrono_literals;

TEST(relay_window, acknowledges_in_order_whatever_comes_first) {
  relay_window w(10);
  EXPECT_EQ(w.acknowledged(), 10u);
  const auto a = w.add({.position = 11, .records = 2});
  const auto b = w.add({.position = 14, .records = 1});
  EXPECT_NE(a, 0u);
  EXPECT_TRUE(w.done(b));
  EXPECT_EQ(w.acknowledged(), 10u) << "11 is still under way";
  EXPECT_FALSE(w.done(a));
  EXPECT_EQ(w.open(), 2u);
  EXPECT_TRUE(w.done(a));
  EXPECT_EQ(w.acknowledged(), 14u);
  EXPECT_EQ(w.open(), 0u);
  EXPECT_EQ(w.completed(), 2u);
}

TEST(relay_window, knows_only_what_is_open) {
  relay_window w;
  const auto a = w.add({.position = 1, .records = 1});
  EXPECT_EQ(w.find(a)->position, 1u);
  w.done(a);
  EXPECT_EQ(w.find(a), nullptr);
  EXPECT_FALSE(w.done(a)) << "a second report changes nothing";
  EXPECT_FALSE(w.done(0));
  EXPECT_FALSE(w.done(99));
  EXPECT_EQ(w.acknowledged(), 1u);
}

TEST(request_pacing, spaces_bursts_by_the_partitions_they_touch) {
  request_pacing pacing(500);
  const kit::instant start{1h};
  EXPECT_LE(pacing.next(), start);
  pacing.sent(start, 1);
  EXPECT_EQ(pacing.next() - start, 2ms);
  pacing.sent(start + 2ms, 15);
  EXPECT_EQ(pacing.next() - start, 32ms);
  pacing.sent(start + 10s, 1);
  EXPECT_EQ(pacing.next() - start, 10s + 2ms) << "quiet times are not saved up";
}

event of_job(const std::string& job, event_data data) {
  event e;
  e.job_id = job;
  e.data = std::move(data);
  return e;
}

TEST(job_origins, says_of_later_events_what_the_submission_said) {
  job_origins known(2);
  EXPECT_EQ(known.of(of_job("a", job_progress{}), "n").agent, "") << "not seen submitted";
  known.of(of_job("a", job_submitted{.agent = "alpha-cal", .dataset = "file:///d", .wants = {.gpus = 2}}), "n");
  const auto later = known.of(of_job("a", job_progress{}), "n");
  EXPECT_EQ(later.node, "n");
  EXPECT_EQ(later.agent, "alpha-cal");
  EXPECT_EQ(later.dataset, "file:///d");
  EXPECT_EQ(later.gpus, 2);
  EXPECT_EQ(known.of(of_job("a", job_completed{}), "n").agent, "alpha-cal");
  EXPECT_EQ(known.size(), 0u) << "a job that ended is forgotten";
}

TEST(job_origins, are_bounded) {
  job_origins known(2);
  for (const char* job : {"a", "b", "a", "c"}) known.of(of_job(job, job_submitted{.agent = job}), "n");
  EXPECT_EQ(known.size(), 2u);
  EXPECT_EQ(known.of(of_job("b", job_progress{}), "n").agent, "") << "the oldest submission went";
  EXPECT_EQ(known.of(of_job("a", job_progress{}), "n").agent, "a");
}

}  // namespace
}  // namespace horizons::kafka
