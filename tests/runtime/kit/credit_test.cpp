// Credit: nobody sends more than was granted, nothing stalls, nothing is lost when a worker ends.
#include "runtime/kit/credit.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace horizons::kit {
namespace {

TEST(credit, the_window_bounds_what_is_under_way_and_never_stalls) {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    std::mt19937 random(seed);
    credit limits{1 + random() % 50, 100 + random() % 1000};
    credit_window receiver(limits);
    credit_balance sender(limits.bytes);
    sender.grant(receiver.open());
    std::deque<std::size_t> under_way;
    std::size_t delivered = 0, total = 2000, bytes_under_way = 0;
    for (std::size_t sent = 0, n = 0; delivered < total; ++n) {
      ASSERT_LT(n, 100'000u) << "stalled, seed " << seed;
      std::size_t bytes = 1 + random() % 100;
      if (sent < total && sender.may_send(bytes)) {
        sender.sent(bytes);
        receiver.received();
        under_way.push_back(bytes);
        bytes_under_way += bytes;
        ++sent;
      } else if (!under_way.empty()) {
        auto b = under_way.front();
        under_way.pop_front();
        bytes_under_way -= b;
        ++delivered;
        if (auto grant = receiver.done(b)) sender.grant(*grant);
      }
      ASSERT_LE(under_way.size(), limits.messages);
      ASSERT_LE(bytes_under_way, limits.bytes);
    }
  }
}

TEST(credit, a_message_larger_than_the_budget_passes_alone) {
  credit_window receiver({10, 100});
  credit_balance sender(100);
  sender.grant(receiver.open());
  EXPECT_TRUE(sender.may_send(500));
  sender.sent(500);
  receiver.received();
  EXPECT_FALSE(sender.may_send(1));
  auto grant = receiver.done(500);
  ASSERT_TRUE(grant);
  sender.grant(*grant);
  EXPECT_EQ(sender.left(), (credit{10, 100}));  // no more than the budget
}

TEST(work_pulling, gives_to_the_least_loaded_within_its_window) {
  work_pulling<int> w({100, 1000});
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(w.offer(i, 1));
  EXPECT_TRUE(w.assign().empty());
  w.join("a", 1);
  w.join("b", 2);
  auto given = w.assign();
  ASSERT_EQ(given.size(), 3u);
  EXPECT_EQ(given[0].worker, "a");
  EXPECT_EQ(given[1].worker, "b");
  EXPECT_EQ(given[2].worker, "b");
  EXPECT_EQ(w.queued(), 2u);
  EXPECT_TRUE(w.done("a", given[0].ticket));
  EXPECT_FALSE(w.done("a", given[0].ticket));
  EXPECT_EQ(w.assign().size(), 1u);
}

TEST(work_pulling, unfinished_work_of_an_ended_worker_comes_first_again) {
  work_pulling<int> w({100, 1000});
  for (int i = 0; i < 4; ++i) w.offer(i, 1);
  w.join("a", 2);
  EXPECT_EQ(w.assign().size(), 2u);
  w.ended("a");
  w.join("b", 4);
  std::vector<int> order;
  for (auto& a : w.assign()) order.push_back(a.item);
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3}));
  EXPECT_EQ(w.outstanding(), 4u);
}

TEST(work_pulling, the_queue_is_bounded_in_messages_and_bytes) {
  work_pulling<int> w({2, 10});
  EXPECT_TRUE(w.offer(1, 8));
  EXPECT_FALSE(w.offer(2, 8));
  EXPECT_TRUE(w.offer(3, 2));
  EXPECT_FALSE(w.offer(4, 0));
}

TEST(local_flow, is_open_while_messages_and_bytes_are_left) {
  local_flow flow({.messages = 4, .bytes = 100});
  std::vector<local_flow::ticket> under_way;
  under_way.reserve(4);
  for (int i = 0; i < 3; ++i) under_way.push_back(flow.take(10));
  EXPECT_TRUE(flow.open());
  under_way.push_back(flow.take(10));
  EXPECT_FALSE(flow.open());  // four messages
  under_way.pop_back();
  EXPECT_TRUE(flow.open());
  under_way.push_back(flow.take(1'000));  // its size was not known
  EXPECT_FALSE(flow.open());
  under_way.pop_back();
  EXPECT_TRUE(flow.open());
  EXPECT_EQ(flow.outstanding(), 3u);
}

TEST(local_flow, gives_back_once_what_is_dropped_unanswered) {
  auto shown = std::make_shared<std::atomic<std::int64_t>>(0);
  local_flow flow({.messages = 1, .bytes = 100}, credit_gauge(shown));
  {
    auto first = flow.take(50);
    auto moved = std::move(first);
    EXPECT_FALSE(flow.open());
    EXPECT_EQ(*shown, 1);
  }
  EXPECT_TRUE(flow.open());
  EXPECT_EQ(*shown, 0);
  auto last = flow.take(200);
  EXPECT_FALSE(flow.open());  // not two messages' worth
}

TEST(credit_gauge, windows_of_one_type_add_up_and_leave_nothing_behind) {
  auto shown = std::make_shared<std::atomic<std::int64_t>>(0);
  credit_window first({10, 1000}, credit_gauge(shown));
  first.received();
  first.received();
  {
    credit_window second({10, 1000}, credit_gauge(shown));
    second.received();
    EXPECT_EQ(*shown, 3);
    work_pulling<int> third({10, 1000}, credit_gauge(shown));
    third.join("w", 2);
    third.offer(1, 1);
    third.offer(2, 1);
    third.assign();
    EXPECT_EQ(*shown, 5);
    third.done("w", 1);
    EXPECT_EQ(*shown, 4);
    third.ended("w");
    EXPECT_EQ(*shown, 3);
    auto moved = std::move(second);
    moved.received();
    EXPECT_EQ(*shown, 4);
  }
  EXPECT_EQ(*shown, 2);
  first.done(1);
  EXPECT_EQ(*shown, 1);
}

}  // namespace
}  // namespace horizons::kit
