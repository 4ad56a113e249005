// Shows what is under way under credit as `horizons_actor_credit_outstanding` of an actor's type. The numbers of all
// actors of a type add up; what one held is taken back when it ends, so a restart leaves nothing behind.
//
//   kit::credit_window window({.messages = 100, .bytes = 1 << 20}, kit::gauge_of(self));
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace horizons::kit {

class context;

class credit_gauge {
public:
  credit_gauge() = default;  // shows nothing
  /// `to` outlives the gauge, or lives inside what the pointer shares.
  explicit credit_gauge(std::shared_ptr<std::atomic<std::int64_t>> to) : to_(std::move(to)) {}
  credit_gauge(credit_gauge&& o) noexcept : to_(std::move(o.to_)), shown_(std::exchange(o.shown_, 0)) {}
  credit_gauge& operator=(credit_gauge&& o) noexcept {
    set(0);
    to_ = std::move(o.to_);
    shown_ = std::exchange(o.shown_, 0);
    return *this;
  }
  ~credit_gauge() { set(0); }

  void set(std::size_t outstanding) {
    if (!to_) return;
    const auto now = static_cast<std::int64_t>(outstanding);
    to_->fetch_add(now - std::exchange(shown_, now), std::memory_order_relaxed);
  }

private:
  std::shared_ptr<std::atomic<std::int64_t>> to_;
  std::int64_t shown_ = 0;
};

/// Of this actor's type.
credit_gauge gauge_of(context& self);

}  // namespace horizons::kit
