// Who runs next: one queue for all workers, first come first served, and one place beside each worker for the job that
// the worker itself has just made runnable. A message and its answer then stay on one warm worker instead of waking
// another one per hop (ping-pong: three times the round trips). Internal to the kit; knows no actor.
//
// Fair: what stands in the queue passes before a worker that only ever feeds itself, after `in_a_row_max` jobs. Prompt:
// while somebody works, one idle worker watches the places and takes what its owner does not come to within a fraction
// of a millisecond. Not a work-stealing queue like CAF's: its thief walks a victim's whole list under a lock, so a
// burst of runnable actors costs its square (T15).
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>

namespace caf {
class resumable;
}

namespace horizons::kit::detail {

class work_queue {
public:
  using job = caf::resumable*;
  static constexpr std::uint32_t in_a_row_max = 16;

  explicit work_queue(std::size_t workers);

  /// From anywhere.
  void push(job j);
  /// By `worker`, from the job it is in: next on this worker, unless another one is idle for long.
  void hand(std::size_t worker, job j);
  /// What `worker` runs next; waits for it.
  job take(std::size_t worker);
  /// At the end, by the last thread: what nobody ran, or null.
  job left();

private:
  struct alignas(64) place {
    std::atomic<job> next{nullptr};
    std::atomic<std::uint32_t> turns{0};  // how often its worker asked for work
    std::uint32_t in_a_row = 0;           // its worker's own
    // The watcher's own: what stood here at its last look.
    job seen = nullptr;
    std::uint32_t seen_turns = 0;
  };
  std::unique_lock<std::mutex> locked();
  void linger();
  job take_front();
  job overdue(std::size_t watcher);

  const std::size_t workers_;
  const std::unique_ptr<place[]> places_;
  std::mutex mutex_;
  std::condition_variable come_;
  std::deque<job> queue_;
  std::size_t idle_ = 0;
  bool watched_ = false, lingering_ = false;
  std::atomic<std::size_t> queued_{0};     // queue_.size(), for who lingers
  std::atomic<bool> watcher_asked_{true};  // somebody idle watches, was told to, or nobody is idle
};

}  // namespace horizons::kit::detail
