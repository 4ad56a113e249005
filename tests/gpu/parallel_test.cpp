#include "gpu/parallel.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace horizons::gpu {
namespace {

TEST(Parallel, EveryItemIsVisitedOnce) {
  for (const std::size_t n : {1u, 2u, 7u, 1000u, 100'003u})
    for (const std::size_t grain : {0u, 1u, 64u, 200'000u}) {
      std::vector<std::atomic<int>> visits(n);
      parallel_for(n, grain, [&](std::size_t begin, std::size_t end, std::size_t worker) {
        EXPECT_LT(worker, thread_count());
        for (std::size_t i = begin; i < end; ++i) ++visits[i];
      });
      for (const auto& v : visits) ASSERT_EQ(v, 1);
    }
}

TEST(Parallel, NothingToDoCallsNobody) {
  parallel_for(0, 8, [](std::size_t, std::size_t, std::size_t) { FAIL(); });
}

TEST(Parallel, NoTwoThreadsShareAWorkerNumber) {
  std::vector<std::atomic<int>> busy(thread_count());
  parallel_for(2000, 1, [&](std::size_t, std::size_t, std::size_t worker) {
    EXPECT_EQ(busy[worker].fetch_add(1), 0);
    std::this_thread::yield();
    busy[worker].fetch_sub(1);
  });
}

TEST(Parallel, AllThreadsTakePart) {
  std::atomic<std::size_t> arrived{0};
  // Each chunk waits for the others: ends only if thread_count() chunks run at the same time.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  parallel_for(thread_count(), 1, [&](std::size_t, std::size_t, std::size_t) {
    ++arrived;
    while (arrived < thread_count() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  });
  EXPECT_LT(std::chrono::steady_clock::now(), deadline);
}

TEST(Parallel, TheFirstExceptionReachesTheCaller) {
  std::atomic<int> calls{0};
  EXPECT_THROW(parallel_for(1'000'000, 1,
                            [&](std::size_t begin, std::size_t, std::size_t) {
                              ++calls;
                              if (begin == 10) throw std::runtime_error("ten");
                            }),
               std::runtime_error);
  EXPECT_LT(calls, 1'000'000);
  int after = 0;
  parallel_for(1, 1, [&](std::size_t, std::size_t, std::size_t) { ++after; });  // the pool still works
  EXPECT_EQ(after, 1);
}

TEST(Parallel, ANestedLoopRunsOnItsCallersThread) {
  std::atomic<std::size_t> sum{0};
  parallel_for(50, 1, [&](std::size_t, std::size_t, std::size_t worker) {
    const auto here = std::this_thread::get_id();
    parallel_for(100, 7, [&](std::size_t begin, std::size_t end, std::size_t inner) {
      EXPECT_EQ(std::this_thread::get_id(), here);
      EXPECT_EQ(inner, worker);
      sum += end - begin;
    });
  });
  EXPECT_EQ(sum, 5000u);
}

TEST(Parallel, SeveralCallersShareThePool) {
  std::atomic<std::size_t> sum{0};
  {
    std::vector<std::jthread> callers;
    for (int i = 0; i < 4; ++i)
      callers.emplace_back([&] {
        for (int round = 0; round < 50; ++round)
          parallel_for(100, 3, [&](std::size_t begin, std::size_t end, std::size_t) { sum += end - begin; });
      });
  }
  EXPECT_EQ(sum, 4u * 50 * 100);
}

}  // namespace
}  // namespace horizons::gpu
