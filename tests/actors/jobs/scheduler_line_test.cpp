#include "actors/jobs/scheduler_line.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace horizons::jobs {
namespace {

using line = waiting_line<const int>;

/// Random joining and leaving, beside a set that does the same slowly.
TEST(waiting_line, is_a_sorted_set_that_counts) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    static const int item = 0;
    line l;
    std::set<std::uint64_t> twin;
    auto place = [](std::uint64_t order) { return line::place{order, &item}; };
    for (int i = 0; i < 6'000; ++i) {
      std::uint64_t order = random() % 3 ? static_cast<std::uint64_t>(i) + 10'000 : random() % 10'000;
      const bool grows = i < 3'000 ? random() % 4 != 0 : random() % 4 == 0;
      if (grows) {
        if (twin.insert(order).second) l.insert(place(order));
      } else if (!twin.empty()) {
        auto at = twin.lower_bound(random() % 2 ? 0 : order);
        if (at == twin.end()) at = twin.begin();
        l.erase(place(*at));
        twin.erase(at);
      }
      ASSERT_EQ(l.size(), twin.size());
      ASSERT_EQ(l.empty(), twin.empty());
      if (!twin.empty()) {
        ASSERT_EQ(l.front().order, *twin.begin());
      }
      if (i % 50 != 0) continue;
      auto end = twin.upper_bound(order);
      auto* next = l.after(place(order));
      ASSERT_EQ(next ? next->order : 0, end == twin.end() ? 0 : *end);
      ASSERT_EQ(l.count_before([&](auto& p) { return p.order < order; }),
                static_cast<std::size_t>(std::distance(twin.begin(), twin.lower_bound(order))));
      auto* third = l.find_among_first(3, [n = 0](auto&) mutable { return ++n == 3; });
      ASSERT_EQ(third ? third->order : 0, twin.size() < 3 ? 0 : *std::next(twin.begin(), 2));
    }
  }
}

}  // namespace
}  // namespace horizons::jobs
