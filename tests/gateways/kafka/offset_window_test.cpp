#include "gateways/kafka/offset_window.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>

namespace horizons::kafka {
namespace {

TEST(offset_window, finds_what_is_here_across_gaps) {
  offset_window<int> w;
  for (const std::uint64_t offset : {7, 8, 12, 20}) w.push(offset) = static_cast<int>(offset);
  EXPECT_EQ(w.at(12), 12);
  EXPECT_EQ(w.at(20), 20);
  for (const std::uint64_t offset : {0, 6, 9, 11, 13, 19, 21}) EXPECT_FALSE(w.find(offset)) << offset;
  w.erase(8);
  EXPECT_FALSE(w.find(8));
  EXPECT_EQ(w.span(), 4u) << "7 is before it";
  w.erase(7);
  EXPECT_EQ(w.span(), 2u);
  w.pop();
  EXPECT_FALSE(w.find(20));
  EXPECT_EQ(w.at(12), 12);
}

TEST(offset_window, a_peak_is_given_back_when_it_is_over) {
  offset_window<int> w;
  for (std::uint64_t offset = 0; offset < 10'000; ++offset) w.push(offset);
  EXPECT_LE(w.capacity(), 16'384u);
  for (std::uint64_t offset = 1; offset < 10'000; ++offset) w.erase(offset);
  EXPECT_EQ(w.span(), 10'000u) << "the first one is still here";
  w.erase(0);
  EXPECT_TRUE(w.empty());
  EXPECT_LE(w.capacity(), w.capacity_at_rest);
  w.push(20'000) = 7;
  EXPECT_EQ(w.at(20'000), 7) << "and it goes on";
}

TEST(offset_window, holds_what_a_map_holds) {
  std::mt19937 random(3);
  offset_window<std::shared_ptr<std::uint64_t>> w;
  std::map<std::uint64_t, std::weak_ptr<std::uint64_t>> twin;
  std::uint64_t next = 1'000;
  for (int i = 0; i < 50'000; ++i) {
    if (random() % 2 == 0 && w.span() < 500) {
      next += random() % 10 == 0 ? 1 + random() % 5 : 1;
      auto& item = w.push(next);
      item = std::make_shared<std::uint64_t>(next);
      twin[next] = item;
    } else if (!twin.empty()) {
      auto at = twin.lower_bound(twin.begin()->first + random() % 20);
      if (at == twin.end()) at = twin.begin();
      ASSERT_EQ(*w.at(at->first), at->first);
      w.erase(at->first);
      EXPECT_TRUE(at->second.expired()) << "it is gone for good";
      twin.erase(at);
    }
    const auto any = next - random() % 700;
    ASSERT_EQ(w.find(any) != nullptr, twin.contains(any));
  }
  w.clear();
  EXPECT_TRUE(w.empty());
  for (const auto& [offset, item] : twin) EXPECT_TRUE(item.expired());
}

}  // namespace
}  // namespace horizons::kafka
