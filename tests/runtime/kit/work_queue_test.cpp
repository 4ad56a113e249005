// Who runs next: first come first served, what a worker made runnable itself first, nobody waits for a busy worker.
#include "runtime/kit/work_queue.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <set>
#include <thread>
#include <vector>

namespace horizons::kit::detail {
namespace {

/// The queue never looks at a job: a number serves.
work_queue::job job(std::uintptr_t n) { return reinterpret_cast<work_queue::job>(n); }
std::uintptr_t number(work_queue::job j) { return reinterpret_cast<std::uintptr_t>(j); }

TEST(work_queue, first_come_first_served) {
  work_queue q(1);
  for (std::uintptr_t i = 1; i <= 5; ++i) q.push(job(i));
  for (std::uintptr_t i = 1; i <= 5; ++i) EXPECT_EQ(number(q.take(0)), i);
}

TEST(work_queue, what_a_worker_made_runnable_last_is_next_on_it) {
  work_queue q(1);
  q.push(job(1));
  q.hand(0, job(2));
  q.hand(0, job(3));  // 2 makes way, to the end of the queue
  EXPECT_EQ(number(q.take(0)), 3u);
  EXPECT_EQ(number(q.take(0)), 1u);
  EXPECT_EQ(number(q.take(0)), 2u);
}

TEST(work_queue, a_worker_that_feeds_itself_lets_the_queue_pass) {
  work_queue q(1);
  q.push(job(1));
  std::uint32_t turns = 0;
  q.hand(0, job(2));
  while (number(q.take(0)) == 2 && ++turns < 1'000) q.hand(0, job(2));
  EXPECT_EQ(turns, work_queue::in_a_row_max);
  EXPECT_EQ(number(q.take(0)), 2u);  // and was not forgotten
}

TEST(work_queue, an_idle_worker_takes_what_a_busy_one_keeps) {
  work_queue q(2);
  auto idle = std::async(std::launch::async, [&] { return q.take(1); });
  q.hand(0, job(7));  // and worker 0 goes on with what it does
  EXPECT_EQ(number(idle.get()), 7u);
}

TEST(work_queue, the_same_after_everybody_was_idle) {
  work_queue q(2);
  std::promise<void> took;
  auto both_take = took.get_future().share();
  auto other = std::async(std::launch::async, [&] {
    q.take(1);
    both_take.wait();
    return q.take(1);
  });
  auto mine = std::async(std::launch::async, [&] {
    q.take(0);
    took.set_value();
    q.hand(0, job(3));  // and is busy from here on
  });
  q.push(job(1));
  q.push(job(2));
  EXPECT_EQ(number(other.get()), 3u);
  mine.get();
}

TEST(work_queue, nothing_is_lost_or_run_twice) {
  constexpr std::size_t workers = 4;
  constexpr std::uintptr_t jobs = 20'000, stop = 1'000'000;
  work_queue q(workers);
  std::vector<std::vector<std::uintptr_t>> ran(workers);
  std::atomic<std::uintptr_t> done{0};
  std::vector<std::thread> threads;
  for (std::size_t w = 0; w < workers; ++w)
    threads.emplace_back([&, w] {
      for (;;) {
        auto n = number(q.take(w));
        if (n == stop) return;
        ran[w].push_back(n);
        if (n <= jobs) q.hand(w, job(n + jobs));  // each makes another runnable
        if (++done == 2 * jobs)
          for (std::size_t i = 0; i < workers; ++i) q.push(job(stop));
      }
    });
  for (std::uintptr_t n = 1; n <= jobs; ++n) q.push(job(n));
  for (auto& t : threads) t.join();
  std::set<std::uintptr_t> all;
  std::size_t total = 0;
  for (auto& r : ran) {
    total += r.size();
    all.insert(r.begin(), r.end());
  }
  EXPECT_EQ(total, 2 * jobs);
  EXPECT_EQ(all.size(), 2 * jobs);
  EXPECT_EQ(q.left(), nullptr);
}

TEST(work_queue, what_nobody_ran_is_handed_out_at_the_end) {
  work_queue q(2);
  q.push(job(1));
  q.hand(1, job(2));
  EXPECT_EQ(number(q.left()), 1u);
  EXPECT_EQ(number(q.left()), 2u);
  EXPECT_EQ(q.left(), nullptr);
}

}  // namespace
}  // namespace horizons::kit::detail
