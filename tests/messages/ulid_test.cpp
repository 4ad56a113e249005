#include "messages/ulid.hpp"

#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace horizons {
namespace {

timestamp at(std::int64_t ms) { return timestamp{std::chrono::milliseconds{ms}}; }

TEST(ulid, is_what_the_specification_says) {
  // The time part of the specification's own example: 1469918176385 is 01ARYZ6S41.
  EXPECT_EQ(make_ulid(at(1'469'918'176'385), {}).substr(0, 10), "01ARYZ6S41");
  std::array<std::uint8_t, 10> ones;
  ones.fill(0xFF);
  EXPECT_EQ(make_ulid(at((1ll << 48) - 1), ones), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
  EXPECT_EQ(make_ulid(at(0), {}), "00000000000000000000000000");
  EXPECT_EQ(make_ulid(at(0), {0, 0, 0, 0, 0, 0, 0, 0, 0, 1}), "00000000000000000000000001");
  EXPECT_EQ(make_ulid(at(0), {0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0}), "0000000000G000000000000000");
}

TEST(ulid, grows_within_a_millisecond_and_with_time) {
  std::string last = make_ulid(at(1000));
  for (int i = 0; i < 10'000; ++i) {
    const std::string next = make_ulid(at(1000 + i / 100));
    ASSERT_LT(last, next);
    ASSERT_TRUE(is_ulid(next)) << next;
    last = next;
  }
}

TEST(ulid, threads_never_share_one) {
  std::vector<std::vector<std::string>> made(4);
  std::vector<std::jthread> threads;
  for (auto& mine : made)
    threads.emplace_back([&mine] {
      for (int i = 0; i < 5000; ++i) mine.push_back(make_ulid(at(5)));
    });
  threads.clear();
  std::set<std::string> all;
  for (const auto& mine : made) all.insert(mine.begin(), mine.end());
  EXPECT_EQ(all.size(), 20'000u);
}

TEST(ulid, refuses_other_texts) {
  for (const char* bad : {"", "01ARYZ6S41", "81ARYZ6S410000000000000000", "01ARYZ6S41000000000000000I",
                          "01ARYZ6S41000000000000000u", "01aryz6s410000000000000000", "01ARYZ6S4100000000000000000"})
    EXPECT_FALSE(is_ulid(bad)) << bad;
}

}  // namespace
}  // namespace horizons
