// How far a source has come: a model that remembers every finished offset is the slow twin.
#include "runtime/journal/source_progress.hpp"

#include <gtest/gtest.h>

#include <random>

namespace horizons::journal {
namespace {

source_mark done(std::uint64_t offset) { return {.source = "s", .offset = offset}; }
source_mark all_below(std::uint64_t offset) { return {.source = "s", .offset = offset, .all_before = true}; }
source_mark parks(std::string lane) { return {.source = "s", .all_before = true, .park = std::move(lane)}; }
source_mark releases(std::string lane) { return {.source = "s", .all_before = true, .release = std::move(lane)}; }

source_progress read_back(const source_progress& p) {
  const auto decoded = source_progress::decode(p.encode());
  EXPECT_TRUE(decoded) << decoded.error().text;
  return decoded.value_or(source_progress());
}

TEST(source_progress, moves_past_offsets_finished_in_any_order) {
  source_progress p;
  for (const std::uint64_t offset : {2, 0, 3}) ASSERT_TRUE(p.apply(done(offset)));
  EXPECT_EQ(p.next, 1u);
  EXPECT_EQ(p.above(), (std::set<std::uint64_t>{2, 3}));
  EXPECT_TRUE(p.finished(0) && !p.finished(1) && p.finished(2) && p.finished(3) && !p.finished(4));
  ASSERT_TRUE(p.apply(done(1)));
  EXPECT_EQ(p.next, 4u);
  EXPECT_TRUE(p.above().empty());
  ASSERT_TRUE(p.apply(done(1))) << "finishing twice changes nothing";
  EXPECT_EQ(p.next, 4u);
}

TEST(source_progress, all_before_jumps_over_gaps_and_never_back) {
  source_progress p;
  ASSERT_TRUE(p.apply(done(12)));
  ASSERT_TRUE(p.apply(done(7)));
  ASSERT_TRUE(p.apply(all_below(12)));
  EXPECT_EQ(p.next, 13u) << "12 itself was finished";
  ASSERT_TRUE(p.apply(all_below(5)));
  EXPECT_EQ(p.next, 13u);
  EXPECT_TRUE(p.above().empty());
}

TEST(source_progress, lanes_are_parked_and_released_beside_the_offsets) {
  source_progress p;
  ASSERT_TRUE(p.apply(parks("m87")));
  ASSERT_TRUE(p.apply(parks("m87")));
  ASSERT_TRUE(p.apply(parks("3c286")));
  EXPECT_EQ(p.next, 0u) << "nothing below 0 is finished";
  ASSERT_TRUE(p.apply(releases("m87")));
  ASSERT_TRUE(p.apply(releases("unknown")));
  EXPECT_EQ(p.parked(), (std::set<std::string, std::less<>>{"3c286"}));
}

TEST(source_progress, limits_refuse_and_change_nothing) {
  source_progress p;
  for (std::uint64_t i = 1; i <= source_progress::above_max; ++i) ASSERT_TRUE(p.apply(done(2 * i)));
  for (std::size_t i = 0; i < source_progress::parked_max; ++i)
    ASSERT_TRUE(p.apply(parks("lane-" + std::to_string(i))));
  const auto full = p;
  auto one_more = done(3);
  one_more.release = "lane-0";
  EXPECT_EQ(p.apply(one_more).error().code, error_code::limit_exceeded);
  EXPECT_EQ(p.apply(parks("another")).error().code, error_code::limit_exceeded);
  EXPECT_EQ(p, full);
  EXPECT_TRUE(p.apply(done(2))) << "known already";
  auto instead = parks("another");
  instead.release = "lane-0";
  EXPECT_TRUE(p.apply(instead)) << "one goes, one comes";
  EXPECT_TRUE(p.apply(done(0))) << "the lowest offset makes room";
  EXPECT_TRUE(p.apply(done(1)));
  EXPECT_EQ(p.next, 3u);
  source_progress wide;
  EXPECT_TRUE(wide.apply(done(source_progress::span_max)));
  EXPECT_EQ(wide.apply(done(source_progress::span_max + 1)).error().code, error_code::limit_exceeded);
  EXPECT_EQ(read_back(wide), wide);
}

TEST(source_progress, the_largest_state_fits_its_column_and_reads_back) {
  source_progress p;
  p.epoch = p.next = std::uint64_t{1} << 62;
  for (std::uint64_t i = 0; i < source_progress::above_max - 1; ++i) ASSERT_TRUE(p.apply(done(p.next + 1 + 97 * i)));
  ASSERT_TRUE(p.apply(done(p.next + source_progress::span_max)));
  for (std::size_t i = 0; i < source_progress::parked_max; ++i)
    ASSERT_TRUE(p.apply(parks(std::string(252, '"') + std::to_string(1000 + i))));
  EXPECT_LE(p.encode().size(), source_progress::state_bytes_max);
  EXPECT_EQ(read_back(p), p);
}

TEST(source_progress, what_is_not_a_progress_is_refused_with_the_reason) {
  const auto why = [](std::string_view text) { return source_progress::decode(text).error().text; };
  const std::string good = source_progress().encode();
  EXPECT_EQ(good, R"({"above":"","epoch":0,"next":0,"parked":[]})");
  EXPECT_EQ(source_progress::decode("17").error().code, error_code::unreadable);
  EXPECT_NE(why("{").find("progress of a source"), std::string::npos);
  EXPECT_NE(why(R"({"above":"","epoch":-1,"next":0,"parked":[]})").find("epoch"), std::string::npos);
  EXPECT_NE(why(R"({"above":"","epoch":1,"parked":[]})").find("next"), std::string::npos);
  EXPECT_NE(why(R"({"above":"!","epoch":1,"next":0,"parked":[]})").find("above"), std::string::npos);
  EXPECT_NE(why(R"({"above":"","epoch":1,"next":0,"parked":[7]})").find("parked"), std::string::npos);
  EXPECT_NE(why(R"({"above":"AQ==","epoch":1,"next":18446744073709551615,"parked":[]})").find("too far"),
            std::string::npos);
}

TEST(source_progress, agrees_with_a_model_that_remembers_every_offset) {
  std::mt19937 random(17);
  for (int round = 0; round < 200; ++round) {
    source_progress p;
    std::set<std::uint64_t> finished;
    const std::uint64_t first = random() % 3 == 0 ? random() % 50 : 0;
    ASSERT_TRUE(p.apply(all_below(first)));
    for (std::uint64_t o = 0; o < first; ++o) finished.insert(o);
    for (int step = 0; step < 120; ++step) {
      const std::uint64_t offset = random() % 100;
      if (random() % 10 == 0) {
        ASSERT_TRUE(p.apply(all_below(offset)));
        for (std::uint64_t o = 0; o < offset; ++o) finished.insert(o);
      } else {
        ASSERT_TRUE(p.apply(done(offset)));
        finished.insert(offset);
      }
      for (std::uint64_t o = 0; o < 110; ++o)
        ASSERT_EQ(p.finished(o), finished.contains(o)) << round << " offset " << o;
      ASSERT_FALSE(p.finished(p.next));
      if (step % 10 == 0) p = read_back(p);
    }
  }
}

}  // namespace
}  // namespace horizons::journal
