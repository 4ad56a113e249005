// All timers of a system: a hierarchical wheel with a tick of one millisecond. Setting and cancelling cost the same
// with ten timers or a million. One thread turns it, or the simulation does. Not for periods below a millisecond.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/kit/kit.hpp"

namespace horizons::kit {

namespace detail {
class timer_wheel;
}

/// One timer: waits in the wheel, fires at most once.
struct timer::state : std::enable_shared_from_this<timer::state> {
  virtual ~state() = default;
  virtual void fire() = 0;      // in the wheel's thread, with no lock held
  virtual void cancelled() {}   // in the canceller's thread, when it was in time
  virtual void called_off() {}  // by every cancel(), also one that came after the firing
  /// True for the one caller that takes the timer: the wheel when it fires, or who cancels it.
  bool take() { return !taken_.exchange(true, std::memory_order_acq_rel); }
  void cancel();

private:
  friend class detail::timer_wheel;
  std::weak_ptr<detail::timer_wheel> wheel_;
  std::shared_ptr<state> keep_;  // while linked
  state* next_ = nullptr;
  state** from_ = nullptr;  // what points here; null: not linked
  std::int64_t due_ms_ = 0;
  std::atomic<bool> taken_{false};
};

namespace detail {

class timer_wheel : public std::enable_shared_from_this<timer_wheel> {
public:
  explicit timer_wheel(instant start) : start_(start) {}
  ~timer_wheel();

  /// Fires at `due` or up to one tick later.
  void set(const std::shared_ptr<timer::state>& t, instant due);
  void unlink(timer::state& t);

  /// Fires all that is due; returns how many.
  std::size_t advance(instant now);

  /// When the next timer may be due: never later than the truth. `instant::max()` when none.
  instant next() const;
  std::size_t size() const;

  /// Turns the wheel by a thread of its own until stop().
  void run_thread();
  void stop();

private:
  static constexpr int levels = 5, bits = 6, slots = 1 << bits;  // 64^5 ms = 12 days; later ones go round again
  void link(timer::state& t);
  std::int64_t next_tick() const;

  const instant start_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::array<std::array<timer::state*, slots>, levels> slot_{};
  std::array<std::uint64_t, levels> used_{};  // bit per slot that may hold timers
  std::int64_t now_ms_ = 0;
  std::int64_t planned_ms_ = 0;  // until when the thread sleeps
  std::size_t size_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace detail
}  // namespace horizons::kit
