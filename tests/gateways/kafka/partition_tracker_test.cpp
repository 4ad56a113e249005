#include "gateways/kafka/partition_tracker.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace horizons::kafka {
namespace {

using namespace std::chrono_literals;
using verdict = partition_tracker::verdict;
using flow = partition_tracker::flow;

const instant t0{};

partition_tracker fresh(tracker_limits limits = {}, std::uint64_t next = 0) {
  journal::source_progress stored;
  stored.next = next;
  return {stored, limits, 1};
}

/// Finishes a record as the source does: with the mark made when it was handed out.
void finish(partition_tracker& t, std::uint64_t offset) { t.finish(offset, t.mark_for(offset)); }

TEST(PartitionTracker, HandsOutOneRecordOfALaneAndAllOfOthers) {
  auto t = fresh();
  t.receive(0, "a", 1);
  t.receive(1, "a", 1);
  t.receive(2, "b", 1);
  t.receive(3, "", 1);
  t.receive(4, "", 1);
  EXPECT_EQ(t.next(t0), 0u);
  EXPECT_EQ(t.next(t0), 2u);
  EXPECT_EQ(t.next(t0), 3u);
  EXPECT_EQ(t.next(t0), 4u);
  EXPECT_EQ(t.next(t0), std::nullopt);
  finish(t, 0);
  EXPECT_EQ(t.next(t0), 1u);
}

TEST(PartitionTracker, MarksWithEverythingBeforeOnlyWhenNothingBelowIsOpen) {
  auto t = fresh();
  for (std::uint64_t i = 0; i < 3; ++i) t.receive(i, "", 1);
  while (t.next(t0)) {
  }
  const auto second = t.mark_for(1);
  EXPECT_FALSE(second.all_before);
  EXPECT_EQ(second.offset, 1u);
  const auto first = t.mark_for(0);
  EXPECT_TRUE(first.all_before);
  EXPECT_EQ(first.offset, 1u);
  t.finish(1, second);
  EXPECT_EQ(t.lowest_unfinished(), 0u);
  t.finish(0, first);
  EXPECT_EQ(t.lowest_unfinished(), 2u);
}

TEST(PartitionTracker, WhatIsStoredAsFinishedIsNotHandedOutAgain) {
  journal::source_progress stored;
  stored.next = 10;
  ASSERT_TRUE(stored.apply({.offset = 12}));
  partition_tracker t(stored, {}, 1);
  EXPECT_EQ(t.expected(), 10u);
  EXPECT_EQ(t.receive(9, "a", 1), verdict::known);
  EXPECT_EQ(t.receive(10, "a", 1), verdict::taken);
  EXPECT_EQ(t.receive(11, "a", 1), verdict::taken);
  EXPECT_EQ(t.receive(12, "a", 1), verdict::known);
  EXPECT_EQ(t.receive(13, "a", 1), verdict::taken);
  EXPECT_EQ(t.receive(11, "a", 1), verdict::known) << "K1: a rewind repeats what is here already";
  for (std::uint64_t i : {10u, 11u, 13u}) {
    ASSERT_EQ(t.next(t0), i);
    finish(t, i);
  }
  EXPECT_EQ(t.lowest_unfinished(), 14u);
}

TEST(PartitionTracker, AFailureHoldsItsLaneOnlyAndBacksOffWithJitter) {
  auto t = fresh({.attempts_max = 4, .backoff_first = 100ms, .backoff_max = 300ms, .jitter = 0.2});
  t.receive(0, "a", 1);
  t.receive(1, "a", 1);
  t.receive(2, "b", 1);
  ASSERT_EQ(t.next(t0), 0u);
  auto now = t0;
  const milliseconds expected[] = {100ms, 200ms, 300ms};
  for (int i = 0; i < 3; ++i) {
    const auto again = t.fail(0, now, true);
    ASSERT_TRUE(again);
    EXPECT_GE(*again - now, expected[i] * 8 / 10);
    EXPECT_LE(*again - now, expected[i] * 12 / 10);
    EXPECT_EQ(t.next_try(), again);
    EXPECT_EQ(t.runnable(), i == 0 ? 1u : 0u) << "lane a waits with both of its records";
    if (i == 0) {
      ASSERT_EQ(t.next(now), 2u) << "another lane goes on";
      finish(t, 2);
    }
    EXPECT_EQ(t.next(*again - 1ms), std::nullopt);
    now = *again;
    ASSERT_EQ(t.next(now), 0u);
  }
  EXPECT_EQ(t.fail(0, now, true), std::nullopt) << "the fourth charged failure is the last";
  EXPECT_EQ(t.attempts(0), 4);
  EXPECT_EQ(t.in_flight(), 1u);
  finish(t, 0);
  EXPECT_EQ(t.next(now), 1u);
}

TEST(PartitionTracker, AFailureThatIsNotChargedNeverGivesUp) {
  auto t = fresh({.attempts_max = 2, .backoff_first = 1ms, .backoff_max = 1ms});
  t.receive(0, "a", 1);
  auto now = t0;
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(t.next(now), 0u);
    const auto again = t.fail(0, now, false);
    ASSERT_TRUE(again);
    now = *again;
  }
}

TEST(PartitionTracker, PausesOnceAtTheWindowAndResumesOnceAtHalf) {
  auto t = fresh({.window_max = 10});
  for (std::uint64_t i = 0; i < 10; ++i) {
    EXPECT_EQ(t.change_flow(), flow::keep);
    ASSERT_EQ(t.receive(i, "", 1), verdict::taken);
  }
  EXPECT_EQ(t.receive(10, "", 1), verdict::full);
  EXPECT_EQ(t.expected(), 10u);
  EXPECT_EQ(t.change_flow(), flow::pause);
  EXPECT_EQ(t.change_flow(), flow::keep);
  while (t.next(t0)) {
  }
  for (std::uint64_t i = 1; i < 10; ++i) finish(t, i);
  EXPECT_EQ(t.change_flow(), flow::keep) << "record 0 still holds the window";
  finish(t, 0);
  EXPECT_EQ(t.change_flow(), flow::resume);
  EXPECT_EQ(t.change_flow(), flow::keep) << "K1: never resumed twice";
}

TEST(PartitionTracker, PausesByBytes) {
  auto t = fresh({.bytes_max = 100});
  t.receive(0, "", 60);
  EXPECT_EQ(t.change_flow(), flow::keep);
  t.receive(1, "", 60);
  EXPECT_EQ(t.change_flow(), flow::pause);
}

TEST(PartitionTracker, PausesWhenItIsToldThatItIsHotAndResumesOnce) {
  auto t = fresh();
  t.receive(0, "a", 1);
  EXPECT_EQ(t.change_flow(true), flow::pause);
  EXPECT_EQ(t.change_flow(true), flow::keep);
  EXPECT_EQ(t.change_flow(false), flow::resume);
  EXPECT_EQ(t.change_flow(false), flow::keep);
}

TEST(PartitionTracker, AGapIsClosedByAMarkOfItsOwnWhenNoRecordDoes) {
  auto t = fresh();
  t.receive(0, "", 1);
  EXPECT_EQ(t.receive(5, "", 1), verdict::gap);
  EXPECT_EQ(t.expected(), 1u);
  EXPECT_EQ(t.receive(5, "", 1), verdict::taken) << "read again, 1 … 4 really do not exist";
  t.next(t0);
  t.next(t0);
  const auto late = t.mark_for(5);  // made while 0 is open
  finish(t, 0);
  EXPECT_EQ(t.lowest_unfinished(), 5u);
  t.finish(5, late);
  EXPECT_EQ(t.gap_mark(false), std::nullopt) << "not worth a commit yet";
  const auto mark = t.gap_mark(true);
  ASSERT_TRUE(mark);
  EXPECT_EQ(mark->offset, 6u);
  EXPECT_TRUE(mark->all_before);
  EXPECT_EQ(t.gap_mark(true), std::nullopt) << "it is on its way";
  t.closed(*mark, false);
  const auto again = t.gap_mark(true);
  ASSERT_TRUE(again);
  t.closed(*again, true);
  EXPECT_EQ(t.gap_mark(true), std::nullopt);
}

TEST(PartitionTracker, WhatTheLibrarySkippedOnceIsNotLost) {
  auto t = fresh();
  t.receive(0, "", 1);
  EXPECT_EQ(t.receive(3, "", 1), verdict::gap);
  EXPECT_EQ(t.receive(1, "", 1), verdict::taken) << "read again from 1, and there it is";
  EXPECT_EQ(t.receive(2, "", 1), verdict::taken);
  EXPECT_EQ(t.receive(3, "", 1), verdict::taken);
  EXPECT_EQ(t.expected(), 4u);
}

TEST(PartitionTracker, ParkedLanesComeFromTheJournalAndEnd) {
  journal::source_progress stored;
  ASSERT_TRUE(stored.apply({.offset = 0, .park = "a"}));
  partition_tracker t(stored, {}, 1);
  EXPECT_TRUE(t.parked("a"));
  EXPECT_FALSE(t.parked("b"));
  t.release("a");
  EXPECT_FALSE(t.parked("a"));
}

/// A journal, a partition with gaps and a worker that finishes in random order, fails, crashes and is given the
/// partition again. What must hold is said in the checks.
struct random_run {
  explicit random_run(std::uint64_t seed) : random(seed) {
    std::uint64_t offset = 0;
    for (int i = 0; i < 3'000; ++i) {
      offset += below(20) == 0 ? 1 + below(5) : 1;
      records.emplace_back(offset, below(10) == 0 ? "" : "lane" + std::to_string(below(40)));
    }
  }
  std::uint64_t below(std::uint64_t n) { return random() % n; }

  void run() {
    while (stored.next <= records.back().first) {
      one_owner();
      ASSERT_FALSE(testing::Test::HasFatalFailure());
      ASSERT_LT(++owners, 2'000) << "the partition does not come to its end";
    }
    for (const auto& [offset, lane] : records) ASSERT_EQ(effects[offset], 1) << "offset " << offset;
  }

  void one_owner() {
    partition_tracker t(stored, {.window_max = 64, .attempts_max = 3, .backoff_first = 4ms, .backoff_max = 16ms},
                        random());
    std::size_t at = 0;
    while (at < records.size() && records[at].first < t.expected()) ++at;
    std::vector<std::pair<std::uint64_t, journal::source_mark>> flying;
    std::map<std::string, std::uint64_t> flying_lane;
    bool paused = false;
    for (auto steps = 50 + below(2'000); steps-- > 0;) {
      now += 1ms;
      if (!paused && at < records.size()) {
        const auto back = below(50) == 0 ? std::min<std::size_t>(at, below(10)) : 0;  // K1: a rewind
        for (auto i = at - back; i <= at && i < records.size(); ++i) {
          auto v = t.receive(records[i].first, records[i].second, 1);
          if (v == verdict::gap) v = t.receive(records[i].first, records[i].second, 1);
          ASSERT_TRUE(i == at || v == verdict::known);
          if (i == at && v == verdict::full) break;
          if (i == at) {
            ++at;
            break;
          }
        }
      }
      const auto f = t.change_flow();
      ASSERT_TRUE(f == flow::keep || paused == (f == flow::resume)) << "paused and resumed in turn";
      if (f != flow::keep) paused = f == flow::pause;
      if (const auto offset = t.next(now)) {
        const auto& lane = lane_of(*offset);
        if (!lane.empty()) {
          ASSERT_FALSE(flying_lane.contains(lane)) << "two records of " << lane << " in flight";
          ASSERT_GT(*offset + 1, last_of[lane]) << "lane " << lane << " goes backwards";
          flying_lane[lane] = *offset;
        }
        flying.emplace_back(*offset, t.mark_for(*offset));
      }
      if (!flying.empty() && below(3) != 0) end_one(t, flying, flying_lane);
      if (const auto m = t.gap_mark(below(30) == 0)) {
        const bool durable = below(4) != 0;
        if (durable) {
          ASSERT_TRUE(stored.apply(*m));
        }
        t.closed(*m, durable);
      }
      ASSERT_LE(t.held(), 64u);
      ASSERT_LE(stored.above().size(), 64u);
      ASSERT_EQ(t.in_flight(), flying.size());
    }
  }

  void end_one(partition_tracker& t, std::vector<std::pair<std::uint64_t, journal::source_mark>>& flying,
               std::map<std::string, std::uint64_t>& flying_lane) {
    const auto i = below(flying.size());
    const auto [offset, mark] = flying[i];
    flying.erase(flying.begin() + static_cast<std::ptrdiff_t>(i));
    flying_lane.erase(lane_of(offset));
    if (below(8) == 0 && t.fail(offset, now, below(2) == 0)) return;  // given up: finished below, as a dead letter
    ASSERT_FALSE(stored.finished(offset));
    ASSERT_TRUE(stored.apply(mark));
    ++effects[offset];
    last_of[lane_of(offset)] = offset + 1;
    t.finish(offset, mark);
  }

  const std::string& lane_of(std::uint64_t offset) const {
    return std::lower_bound(records.begin(), records.end(), std::pair(offset, std::string()))->second;
  }

  std::mt19937_64 random;
  std::vector<std::pair<std::uint64_t, std::string>> records;  // offset, lane
  journal::source_progress stored;
  std::map<std::uint64_t, int> effects;
  std::map<std::string, std::uint64_t> last_of;
  instant now{};
  int owners = 0;
};

TEST(PartitionTracker, ExactlyOnceAndInOrderUnderRandomFinishesFailuresRewindsAndOwners) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    random_run(seed).run();
    ASSERT_FALSE(testing::Test::HasFatalFailure());
  }
}

}  // namespace
}  // namespace horizons::kafka
