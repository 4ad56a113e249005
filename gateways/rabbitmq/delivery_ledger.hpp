// Deliveries without an acknowledgement, and how to acknowledge finished ones with few frames: one for all up to a tag
// where none below it is open, single ones for the rest. Pure value.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

namespace horizons::rabbitmq {

class delivery_ledger {
public:
  struct ack {
    std::uint64_t tag = 0;
    bool multiple = false;
    friend bool operator==(const ack&, const ack&) = default;
  };

  /// False: the tag does not follow the last one, as tags of one channel do; nothing can be said about it.
  bool delivered(std::uint64_t tag) {
    if (states_.empty()) first_ = tag;
    if (tag != first_ + states_.size()) return false;
    states_.push_back(state::open);
    ++open_;
    return true;
  }
  /// To be acknowledged with the next flush().
  void finished(std::uint64_t tag) { ready_ += settle(tag, state::ready); }
  /// Given back or rejected: acknowledged by other means, now.
  bool withdrawn(std::uint64_t tag) { return settle(tag, state::gone); }

  std::vector<ack> flush() {
    std::vector<ack> out;
    std::uint64_t up_to = 0;
    std::size_t count = 0;
    for (; !states_.empty() && states_.front() != state::open; states_.pop_front(), ++first_) {
      if (states_.front() != state::ready) continue;
      up_to = first_;
      ++count;
    }
    if (count > 0) out.push_back({up_to, count > 1});
    for (std::size_t i = 0; count < ready_; ++i) {
      if (states_[i] != state::ready) continue;
      states_[i] = state::gone;
      out.push_back({first_ + i, false});
      ++count;
    }
    ready_ = 0;
    return out;
  }

  void clear() {
    states_.clear();
    open_ = ready_ = 0;
  }
  std::size_t open() const { return open_; }
  std::size_t ready() const { return ready_; }

private:
  enum class state : std::uint8_t { open, ready, gone };

  bool settle(std::uint64_t tag, state to) {
    if (tag < first_ || tag >= first_ + states_.size() || states_[tag - first_] != state::open) return false;
    states_[tag - first_] = to;
    --open_;
    return true;
  }

  std::deque<state> states_;
  std::uint64_t first_ = 1;  // tag of states_.front()
  std::size_t open_ = 0, ready_ = 0;
};

}  // namespace horizons::rabbitmq
