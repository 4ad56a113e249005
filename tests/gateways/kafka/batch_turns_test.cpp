#include "gateways/kafka/batch_turns.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace horizons::kafka {
namespace {

using namespace std::chrono_literals;
using turns = batch_turns<int>;

const turns::instant begin{};
const turns::limits limits{.gathering = 3ms, .bytes_max = 100, .records_max = 5};

TEST(batch_turns, a_batch_gathers_for_a_while_and_then_the_rest_waits_for_its_answer) {
  turns t;
  EXPECT_TRUE(t.offer(1, 10, begin, limits));
  EXPECT_TRUE(t.offer(2, 10, begin + 2ms, limits));
  EXPECT_FALSE(t.offer(3, 10, begin + 3ms, limits)) << "the batch is on its way";
  EXPECT_FALSE(t.offer(4, 10, begin + 4ms, limits));
  std::vector<int> gone;
  const auto go = [&](int i) { gone.push_back(i); };
  t.answered(begin + 9ms, limits, go);
  EXPECT_TRUE(gone.empty()) << "one of the batch is still under way";
  t.answered(begin + 9ms, limits, go);
  EXPECT_EQ(gone, (std::vector{3, 4}));
  EXPECT_TRUE(t.offer(5, 10, begin + 11ms, limits)) << "the next batch gathers";
  EXPECT_FALSE(t.offer(6, 10, begin + 13ms, limits));
}

TEST(batch_turns, a_batch_has_a_size) {
  turns t;
  EXPECT_TRUE(t.offer(1, 60, begin, limits));
  EXPECT_FALSE(t.offer(2, 60, begin, limits));
  EXPECT_FALSE(t.offer(3, 1, begin, limits)) << "nobody overtakes";
  std::vector<int> gone;
  t.answered(begin, limits, [&](int i) { gone.push_back(i); });
  EXPECT_EQ(gone, (std::vector{2, 3}));
  turns large;
  EXPECT_TRUE(large.offer(1, 1'000, begin, limits)) << "a large one goes alone";
}

TEST(batch_turns, a_batch_that_begins_large_takes_no_more) {
  const turns::limits large{.gathering = 3ms, .bytes_max = 100'000, .records_max = 1'000, .records_enough = 10};
  for (const int waiting : {9, 10}) {
    turns t;
    EXPECT_TRUE(t.offer(0, 1, begin, large));
    for (int i = 1; i <= waiting; ++i) EXPECT_FALSE(t.offer(i, 1, begin + 4ms, large));
    int gone = 0;
    t.answered(begin + 5ms, large, [&](int) { ++gone; });
    EXPECT_EQ(gone, waiting);
    EXPECT_EQ(t.offer(99, 1, begin + 6ms, large), waiting < 10);
  }
}

TEST(batch_turns, everything_goes_once_and_in_order_whatever_happens_when) {
  std::mt19937 random(7);
  turns t;
  std::vector<int> gone;
  auto now = begin;
  std::size_t answered = 0;
  for (int i = 0; i < 10'000;) {
    now += std::chrono::microseconds(random() % 2'000);
    if (random() % 2 == 0) {
      if (t.offer(i, random() % 60, now, limits)) gone.push_back(i);
      ++i;
    } else if (answered < gone.size()) {
      ++answered;
      t.answered(now, limits, [&](int item) { gone.push_back(item); });
    }
    ASSERT_EQ(t.under_way(), gone.size() - answered);
    ASSERT_LE(t.under_way(), limits.records_max);
  }
  for (; answered < gone.size(); ++answered) t.answered(now, limits, [&](int item) { gone.push_back(item); });
  ASSERT_EQ(gone.size(), 10'000u);
  for (int i = 0; i < 10'000; ++i) ASSERT_EQ(gone[static_cast<std::size_t>(i)], i);
}

}  // namespace
}  // namespace horizons::kafka
