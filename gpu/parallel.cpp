#include "gpu/parallel.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace horizons::gpu {
namespace {

constexpr std::size_t threads_max = 1024;  // more than any machine we know; bounds per-thread scratch

std::size_t threads_by_environment() {
  const char* text = std::getenv("HORIZONS_THREADS");
  if (!text) return 0;
  std::string_view view = text;
  std::size_t threads = 0;
  auto [end, error] = std::from_chars(view.data(), view.data() + view.size(), threads);
  return error == std::errc{} && end == view.data() + view.size() ? threads : 0;
}

std::size_t threads_by_affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<std::size_t>(CPU_COUNT(&set));
  return std::thread::hardware_concurrency();
}

/// CPUs granted by cgroup v2: the smallest quota/period of our group and its parents, rounded up.
std::size_t threads_by_cgroup() {
  std::ifstream groups("/proc/self/cgroup");
  std::string line;
  std::size_t granted = threads_max;
  while (std::getline(groups, line)) {
    if (!line.starts_with("0::")) continue;
    const std::filesystem::path root = "/sys/fs/cgroup";
    std::filesystem::path group = root / std::filesystem::path(line.substr(3)).relative_path();
    for (int depth = 0; depth < 64; ++depth) {  // a loop guard: no real hierarchy is this deep
      std::ifstream file(group / "cpu.max");
      std::string quota;
      double period_us = 0;
      if (file >> quota >> period_us && quota != "max" && period_us > 0)
        granted = std::min(granted, static_cast<std::size_t>(std::max(1.0, std::ceil(std::stod(quota) / period_us))));
      if (group == root || !group.has_relative_path() || group == group.parent_path()) break;
      group = group.parent_path();
    }
  }
  return granted;
}

/// One call of parallel_for. Lives on its caller's stack until no thread refers to it.
struct loop {
  const std::function<void(std::size_t, std::size_t, std::size_t)>& body;
  std::size_t n;
  std::size_t grain;
  std::atomic<std::size_t> next{0};
  std::atomic<bool> failed{false};
  std::size_t helpers = 0;     // pool threads inside; guarded by the pool's mutex
  std::exception_ptr error{};  // guarded by the pool's mutex
};

thread_local bool inside = false;        // this thread is running a body
thread_local std::size_t worker_id = 0;  // unique among the threads of one loop; callers are 0

class thread_pool {
public:
  explicit thread_pool(std::size_t threads) {
    for (std::size_t id = 1; id < threads; ++id) threads_.emplace_back([this, id] { serve(id); });
  }

  ~thread_pool() {
    {
      std::lock_guard lock(mutex_);
      ending_ = true;
    }
    work_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  void run(loop& job) {
    const bool shared = !threads_.empty() && job.n > job.grain;
    if (shared) {
      {
        std::lock_guard lock(mutex_);
        loops_.push_back(&job);
      }
      work_.notify_all();
    }
    chunks(job);
    if (shared) {
      std::unique_lock lock(mutex_);
      std::erase(loops_, &job);  // nobody enters from here on
      done_.wait(lock, [&] { return job.helpers == 0; });
    }
    if (job.error) std::rethrow_exception(job.error);
  }

private:
  /// Takes chunks until none are left or a body has thrown.
  void chunks(loop& job) {
    inside = true;
    try {
      while (!job.failed.load(std::memory_order_relaxed)) {
        const std::size_t begin = job.next.fetch_add(job.grain, std::memory_order_relaxed);
        if (begin >= job.n) break;
        job.body(begin, std::min(job.n, begin + job.grain), worker_id);
      }
    } catch (...) {
      std::lock_guard lock(mutex_);
      if (!job.error) job.error = std::current_exception();
      job.failed = true;
    }
    inside = false;
  }

  void serve(std::size_t id) {
    worker_id = id;
    std::unique_lock lock(mutex_);
    while (true) {
      loop* job = nullptr;
      work_.wait(lock, [&] {
        for (auto* candidate : loops_)
          if (candidate->next.load(std::memory_order_relaxed) < candidate->n && !candidate->failed) job = candidate;
        return ending_ || job;
      });
      if (ending_) return;
      ++job->helpers;
      lock.unlock();
      chunks(*job);
      lock.lock();
      if (--job->helpers == 0) done_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable done_;
  std::vector<loop*> loops_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

std::size_t thread_count() {
  static const std::size_t count = [] {
    const std::size_t wanted = threads_by_environment();
    const std::size_t threads = wanted ? wanted : std::min(threads_by_affinity(), threads_by_cgroup());
    return std::clamp<std::size_t>(threads, 1, threads_max);
  }();
  return count;
}

void parallel_for(std::size_t n, std::size_t grain,
                  const std::function<void(std::size_t, std::size_t, std::size_t)>& body) {
  if (n == 0) return;
  // A step of n at most keeps `next` far from wrapping around, whatever grain was asked for.
  grain = std::clamp<std::size_t>(grain, 1, n);
  if (inside) {
    for (std::size_t begin = 0; begin < n; begin += std::min(grain, n - begin))
      body(begin, begin + std::min(grain, n - begin), worker_id);
    return;
  }
  static thread_pool pool(thread_count());
  loop job{.body = body, .n = n, .grain = grain};
  pool.run(job);
}

}  // namespace horizons::gpu
