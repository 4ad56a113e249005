// A mailbox's queue: order within each lane, urgent ones first, one wake per sleep, nothing lost at the end.
#include "runtime/kit/inbox.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace horizons::kit::detail {
namespace {

struct numbered {
  int n;
};
using outcome = inbox::outcome;

std::unique_ptr<parcel> message(int n, bool urgent = false) {
  auto p = pack(numbered{n});
  p->urgent = urgent;
  return p;
}
outcome push(inbox& box, int n, bool urgent = false) {
  auto p = message(n, urgent);
  const auto r = box.push(p);
  EXPECT_EQ(p == nullptr, r != outcome::closed);  // refused: still the sender's
  return r;
}
int pop(inbox& box) {
  std::unique_ptr<parcel> p(box.pop());
  return p ? static_cast<numbered*>(p->value())->n : 0;
}

TEST(inbox, keeps_order_and_lets_urgent_ones_pass) {
  inbox box;
  for (int i = 1; i <= 3; ++i) push(box, i);
  for (int i = 11; i <= 13; ++i) push(box, i, true);
  for (int expected : {11, 12, 13, 1, 2, 3, 0}) EXPECT_EQ(pop(box), expected);
}

TEST(inbox, an_urgent_one_does_not_wait_for_the_backlog) {
  inbox box;
  for (int i = 1; i <= 1'000; ++i) push(box, i);
  EXPECT_EQ(pop(box), 1);
  push(box, 5'000, true);
  int before = 0;
  while (pop(box) != 5'000) ++before;
  EXPECT_LT(before, 10);
}

TEST(inbox, a_flood_of_urgent_ones_leaves_the_others_a_share) {
  inbox box;
  push(box, 1);
  for (int i = 0; i < 100; ++i) push(box, 2, true);
  int before = 0;
  while (pop(box) != 1) ++before;
  EXPECT_LT(before, 20);
}

TEST(inbox, wakes_once_per_sleep) {
  inbox box;
  EXPECT_EQ(push(box, 1), outcome::wake);  // a fresh one sleeps
  EXPECT_EQ(push(box, 2), outcome::queued);
  EXPECT_EQ(pop(box), 1);
  EXPECT_FALSE(box.wait());  // 2 has been fetched already
  EXPECT_EQ(pop(box), 2);
  EXPECT_EQ(push(box, 3), outcome::queued);
  EXPECT_FALSE(box.wait());  // 3 came meanwhile
  EXPECT_EQ(pop(box), 3);
  EXPECT_EQ(pop(box), 0);
  EXPECT_TRUE(box.wait());
  EXPECT_EQ(push(box, 4), outcome::wake);
}

TEST(inbox, hands_out_what_was_not_read_and_takes_no_more) {
  inbox box;
  for (int i = 1; i <= 3; ++i) push(box, i, i == 2);
  EXPECT_EQ(pop(box), 2);
  std::vector<int> left;
  box.close([&](std::unique_ptr<parcel> p) { left.push_back(static_cast<numbered*>(p->value())->n); });
  EXPECT_EQ(left, (std::vector{1, 3}));
  EXPECT_EQ(push(box, 4), outcome::closed);
}

TEST(inbox, many_senders_lose_nothing_and_keep_their_order) {
  constexpr int senders = 3, each = 20'000;
  inbox box;
  std::atomic<int> awake{0};  // the reader's permission to run: one wake, one run
  std::vector<std::thread> threads;
  for (int s = 0; s < senders; ++s)
    threads.emplace_back([&, s] {
      for (int i = 0; i < each; ++i)
        if (push(box, s * each + i + 1, i % 7 == 0) == outcome::wake) {
          EXPECT_EQ(awake.fetch_add(1), 0);
        }
    });
  std::vector<std::array<int, 2>> last(senders, {-1, -1});
  for (int got = 0; got < senders * each;) {
    if (awake.load() == 0) {
      std::this_thread::yield();
      continue;
    }
    for (;;) {
      while (auto n = pop(box)) {
        ++got;
        auto i = (n - 1) % each;
        auto& before = last[static_cast<std::size_t>((n - 1) / each)][i % 7 == 0];
        EXPECT_LT(before, i);
        before = i;
      }
      awake = 0;
      if (box.wait()) break;
      awake = 1;
    }
  }
  for (auto& t : threads) t.join();
}

}  // namespace
}  // namespace horizons::kit::detail
