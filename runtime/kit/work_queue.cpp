#include "runtime/kit/work_queue.hpp"

#include <utility>

namespace horizons::kit::detail {

namespace {
// A handler that computes on after it has sent delays the receiver by one to two looks. Looks cost some 3 µs each, so
// they become rarer while there is nothing to find, and end when everybody is idle.
constexpr std::chrono::microseconds look_first{100}, look_last{500};
// One idle worker waits this long awake: work often comes in a row (a supervisor starting its children), and waking a
// sleeper for each costs the sender more than the work.
constexpr std::chrono::microseconds linger_max{10};

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}
}  // namespace

/// What is done under the lock is short: sleeping for it would cost its holder a wake-up.
std::unique_lock<std::mutex> work_queue::locked() {
  for (int i = 0; i < 100; ++i) {
    std::unique_lock lock(mutex_, std::try_to_lock);
    if (lock) return lock;
    relax();
  }
  return std::unique_lock(mutex_);
}

void work_queue::linger() {
  const auto end = std::chrono::steady_clock::now() + linger_max;
  do {
    for (int i = 0; i < 16; ++i) {
      if (queued_.load(std::memory_order_relaxed)) return;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
}

work_queue::work_queue(std::size_t workers) : workers_(workers), places_(new place[workers]) {}

void work_queue::push(job j) {
  bool wake;
  {
    auto lock = locked();
    queue_.push_back(j);
    queued_.store(queue_.size(), std::memory_order_relaxed);
    wake = idle_ > 0 && queue_.size() > std::size_t{lingering_};
  }
  if (wake) come_.notify_one();
}

void work_queue::hand(std::size_t worker, job j) {
  if (auto* before = places_[worker].next.exchange(j, std::memory_order_acq_rel)) return push(before);
  if (watcher_asked_.load(std::memory_order_relaxed)) return;
  if (!watcher_asked_.exchange(true, std::memory_order_acq_rel)) {
    { std::lock_guard lock(mutex_); }  // whoever is about to wait has begun to
    come_.notify_one();
  }
}

work_queue::job work_queue::take_front() {
  auto* j = queue_.front();
  queue_.pop_front();
  queued_.store(queue_.size(), std::memory_order_relaxed);
  return j;
}

work_queue::job work_queue::take(std::size_t worker) {
  auto& mine = places_[worker];
  mine.turns.store(mine.turns.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  if (mine.in_a_row < in_a_row_max)
    if (auto* j = mine.next.exchange(nullptr, std::memory_order_acq_rel)) {
      ++mine.in_a_row;
      return j;
    }
  mine.in_a_row = 0;
  auto lock = locked();
  if (auto* j = mine.next.exchange(nullptr, std::memory_order_acq_rel)) {
    if (queue_.empty()) return j;
    queue_.push_back(j);
    return take_front();
  }
  if (queue_.empty() && !lingering_) {
    lingering_ = true;
    lock.unlock();
    linger();
    lock = locked();
    lingering_ = false;
  }
  auto look = look_first;
  ++idle_;
  while (queue_.empty()) {
    const bool others_work = idle_ < workers_;
    if (watched_ || !others_work) {
      if (!watched_) watcher_asked_.store(false, std::memory_order_release);
      come_.wait(lock);
      continue;
    }
    watched_ = true;
    watcher_asked_.store(true, std::memory_order_relaxed);
    come_.wait_for(lock, look);
    watched_ = false;
    if (!queue_.empty()) break;
    if (auto* j = overdue(worker)) {
      --idle_;
      if (idle_ > 0) come_.notify_one();  // it watches now
      return j;
    }
    if (look < look_last) look += look / 4;
  }
  --idle_;
  // Who watched has found work: the next idle one does, when a place is filled again.
  if (!watched_) watcher_asked_.store(idle_ == 0, std::memory_order_release);
  return take_front();
}

/// A job that stood in its place at the last look already, whose worker has not asked for work since.
work_queue::job work_queue::overdue(std::size_t watcher) {
  for (std::size_t i = 0; i < workers_; ++i) {
    if (i == watcher) continue;
    auto& p = places_[i];
    auto* j = p.next.load(std::memory_order_acquire);
    const auto turns = p.turns.load(std::memory_order_relaxed);
    if (j && j == p.seen && turns == p.seen_turns && p.next.compare_exchange_strong(j, nullptr)) {
      p.seen = nullptr;
      return j;
    }
    p.seen = j;
    p.seen_turns = turns;
  }
  return nullptr;
}

work_queue::job work_queue::left() {
  std::lock_guard lock(mutex_);
  if (!queue_.empty()) return take_front();
  for (std::size_t i = 0; i < workers_; ++i)
    if (auto* j = places_[i].next.exchange(nullptr)) return j;
  return nullptr;
}

}  // namespace horizons::kit::detail
