// What was published on one channel and not yet confirmed (R6): the broker numbers publishes 1, 2, 3 … by itself and
// confirms by number, several at once when it likes. Pure value.
#pragma once

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

namespace horizons::rabbitmq {

/// `Item`: what the caller wants back when the broker has spoken.
template <class Item>
class confirm_ledger {
public:
  /// The next publish on the channel; returns its number.
  std::uint64_t publish(Item item) {
    waiting_.push_back({std::move(item), false});
    ++outstanding_;
    return first_ + waiting_.size() - 1;
  }

  /// The publish did not happen after all: the newest entry is withdrawn.
  void withdraw() {
    waiting_.pop_back();
    --outstanding_;
  }

  /// Calls `f(Item&&)` for each publish that `tag` settles, in order. False: the broker confirmed what was never
  /// published, which only a broken connection can explain. A number that is settled already is ignored.
  template <class F>
  bool settle(std::uint64_t tag, bool multiple, F&& f) {
    if (tag >= first_ + waiting_.size()) return false;
    if (tag < first_) return true;
    const std::size_t last = tag - first_;
    for (std::size_t i = multiple ? 0 : last; i <= last; ++i) {
      entry& e = waiting_[i];
      if (std::exchange(e.settled, true)) continue;
      --outstanding_;
      f(std::move(e.item));
    }
    while (!waiting_.empty() && waiting_.front().settled) {
      waiting_.pop_front();
      ++first_;
    }
    return true;
  }

  /// The channel is gone: everything unconfirmed, in order; numbers begin at 1 again.
  std::vector<Item> reset() {
    std::vector<Item> open;
    for (entry& e : waiting_)
      if (!e.settled) open.push_back(std::move(e.item));
    waiting_.clear();
    outstanding_ = 0;
    first_ = 1;
    return open;
  }

  std::size_t outstanding() const { return outstanding_; }
  /// The oldest unconfirmed, or null.
  const Item* oldest() const { return waiting_.empty() ? nullptr : &waiting_.front().item; }

private:
  struct entry {
    Item item;
    bool settled;
  };
  std::deque<entry> waiting_;  // the front is never settled
  std::uint64_t first_ = 1;    // number of the front
  std::size_t outstanding_ = 0;
};

}  // namespace horizons::rabbitmq
