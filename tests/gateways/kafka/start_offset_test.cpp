#include "gateways/kafka/start_offset.hpp"

#include <gtest/gtest.h>

namespace horizons::kafka {
namespace {

const std::string ours = "01JD3ZK8Y6T6W9M1R4V7X0A2B5", theirs = "01JD3ZK8Y6T6W9M1R4V7X0A2C6";

journal::store::claimed_source known(std::uint64_t next) {
  journal::store::claimed_source c;
  c.progress.next = next;
  return c;
}
const journal::store::claimed_source never{.progress = {}, .is_new = true};

TEST(StartOffset, TheJournalWinsOverEverything) {
  const partition_facts facts{.first = 10, .end = 500, .committed = 300, .committed_by = theirs + ":7"};
  EXPECT_EQ(decide_start(known(100), facts, ours), start_decision(begin_at{.offset = 100}));
}

TEST(StartOffset, WhatRetentionTookIsCounted) {
  const partition_facts facts{.first = 150, .end = 500};
  EXPECT_EQ(decide_start(known(100), facts, ours), start_decision(begin_at{.offset = 150, .store = true, .lost = 50}));
}

TEST(StartOffset, MoreFinishedThanThereIsWaits) {
  EXPECT_EQ(decide_start(known(100), {.first = 0, .end = 7}, ours), start_decision(beyond_end{100, 7}));
  EXPECT_EQ(decide_start(known(7), {.first = 0, .end = 7}, ours), start_decision(begin_at{.offset = 7}));
}

TEST(StartOffset, ANewPartitionBeginsAtItsFirstRecord) {
  EXPECT_EQ(decide_start(never, {.first = 0, .end = 9}, ours), start_decision(begin_at{}));
  EXPECT_EQ(decide_start(never, {.first = 5, .end = 9}, ours), start_decision(begin_at{.offset = 5, .store = true}));
}

TEST(StartOffset, TheGroupsStandCountsWhenItIsOursOrNobodys) {
  for (const auto& by : {ours + ":3", std::string(), std::string("some tool")}) {
    const partition_facts facts{.first = 0, .end = 9, .committed = 4, .committed_by = by};
    EXPECT_EQ(decide_start(never, facts, ours), start_decision(begin_at{.offset = 4, .store = true})) << by;
  }
}

TEST(StartOffset, AnotherJournalsPartitionIsNotRead) {
  const partition_facts facts{.first = 0, .end = 9, .committed = 4, .committed_by = commit_metadata(theirs, 3)};
  EXPECT_EQ(decide_start(never, facts, ours), start_decision(foreign{theirs}));
}

TEST(StartOffset, AClaimThatNeverFinishedAnythingDoesNotHideAnotherJournal) {
  const partition_facts facts{.first = 0, .end = 9, .committed = 4, .committed_by = commit_metadata(theirs, 3)};
  EXPECT_EQ(decide_start(known(0), facts, ours), start_decision(foreign{theirs}));
}

TEST(StartOffset, ReadsWhatAnOperatorSays) {
  EXPECT_TRUE(std::holds_alternative<adopt_committed>(*parse_adoption("committed")));
  EXPECT_TRUE(std::holds_alternative<adopt_earliest>(*parse_adoption("earliest")));
  EXPECT_EQ(std::get<timestamp>(*parse_adoption("2026-11-21T08:00:00Z")), *parse_timestamp("2026-11-21T08:00:00Z"));
  const auto wrong = parse_adoption("latest");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, error_code::invalid_argument);
  EXPECT_NE(wrong.error().text.find("latest"), std::string::npos);
  EXPECT_NE(wrong.error().text.find("committed, earliest"), std::string::npos);
}

}  // namespace
}  // namespace horizons::kafka
