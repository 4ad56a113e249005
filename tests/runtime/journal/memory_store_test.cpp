// The faults of a journal in memory: what a simulation builds on.
#include "runtime/journal/memory_store.hpp"

#include <gtest/gtest.h>

#include "tests/runtime/journal/sample.hpp"

namespace horizons::journal {
namespace {

using namespace sample;

class memory_journal_test : public ::testing::Test {
protected:
  void SetUp() override { open(); }
  void open() { store_ = std::move(open_memory_store("faults", me).value()); }
  void next_commit_meets(memory_fault fault) {
    journal_.set_faults({.at_commit = [fault, used = false](std::uint64_t) mutable {
      return std::exchange(used, true) ? memory_fault::none : fault;
    }});
  }
  memory_journal journal_{"faults"};
  std::unique_ptr<store> store_;
};

TEST_F(memory_journal_test, a_full_disk_and_a_failed_write_store_nothing) {
  for (const auto fault : {memory_fault::disk_full, memory_fault::io}) {
    next_commit_meets(fault);
    const auto b = of({life_cycle(make_ulid(noon), 1)});
    const auto before = store_->last_position().value();
    EXPECT_EQ(append_one(*store_, b).error().code, fault == memory_fault::io ? error_code::io : error_code::disk_full);
    EXPECT_EQ(store_->last_position().value(), before);
    EXPECT_TRUE(append_one(*store_, b)) << "it goes on";
  }
}

TEST_F(memory_journal_test, an_answer_may_be_lost_and_the_append_repeated) {
  next_commit_meets(memory_fault::answer_lost);
  const auto b = submission("m87", "d", "k");
  EXPECT_EQ(append_one(*store_, b).error().code, error_code::timed_out);
  EXPECT_EQ(store_->last_position().value(), 1u);
  EXPECT_EQ(append_one(*store_, b).value().positions.at(0), 1u);
}

TEST_F(memory_journal_test, a_torn_write_leaves_nothing_behind) {
  ASSERT_TRUE(append_one(*store_, submission("kept", "d", "k1")));
  next_commit_meets(memory_fault::torn_write);
  auto b = submission("torn", "d", "k2");
  b.marks = {finished("s", store_->claim_source("s").value().progress.epoch, 0)};
  EXPECT_EQ(append_one(*store_, b).error().code, error_code::timed_out);
  EXPECT_EQ(append_one(*store_, b).error().code, error_code::unavailable) << "the power is off";
  journal_.crash();
  EXPECT_EQ(append_one(*store_, b).error().code, error_code::unavailable) << "the old process is gone";
  open();
  EXPECT_EQ(read_all(*store_).size(), 1u);
  EXPECT_FALSE(store_->find_claim("default", "karl", "k2").value());
  EXPECT_EQ(store_->read_sources("s").value().at("s").next, 0u) << "the claim is kept, the mark is not";
  EXPECT_TRUE(store_->find_claim("default", "karl", "k1").value());
  EXPECT_TRUE(append_one(*store_, b));
}

TEST_F(memory_journal_test, what_is_not_synced_is_not_seen_and_a_crash_drops_it) {
  const auto reader = open_memory_reader("faults").value();
  const auto b = of({life_cycle("m87", 1)});
  journal_.set_faults({.before_sync = [&] {
    EXPECT_EQ(reader->last_position().value(), 0u);
    EXPECT_TRUE(reader->read({}, 10).value().empty());
    journal_.crash();
  }});
  EXPECT_EQ(append_one(*store_, b).error().code, error_code::timed_out);
  journal_.set_faults({});
  open();
  EXPECT_EQ(store_->last_position().value(), 0u);
  EXPECT_TRUE(append_one(*store_, b));
  EXPECT_EQ(reader->last_position().value(), 1u);
}

}  // namespace
}  // namespace horizons::journal
