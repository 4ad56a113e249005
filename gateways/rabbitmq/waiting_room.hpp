// Submissions for which the house had no room: they wait in the order they came, one of them asks again after pauses
// that grow, and when it has an answer all others go too. Pure value; bounded by the prefetch.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

namespace horizons::rabbitmq {

/// `Item`: a pointer.
template <class Item>
class waiting_room {
public:
  using milliseconds = std::chrono::milliseconds;
  static constexpr milliseconds pause_first{100}, pause_max{5'000};

  /// There was no room for it. Returns the pause after which ask() is due; nullopt: that is being waited for already.
  std::optional<milliseconds> wait(const Item& item) {
    if (item == asker_) {
      waiting_.insert(waiting_.begin(), std::exchange(asker_, nullptr));
    } else {
      waiting_.push_back(item);
    }
    if (pausing_ || asker_) return std::nullopt;
    pausing_ = true;
    return std::exchange(pause_, std::min(pause_ * 2, pause_max));
  }

  /// The pause is over: the one that asks now; null: nobody waits.
  Item ask() {
    pausing_ = false;
    if (waiting_.empty()) return nullptr;
    asker_ = std::move(waiting_.front());
    waiting_.erase(waiting_.begin());
    return asker_;
  }

  /// It has an answer, whichever. If it was the one that asked: all others, in order, for whom there may be room now.
  std::vector<Item> answered(const Item& item) {
    if (item != asker_) return {};
    asker_ = nullptr;
    pause_ = pause_first;
    return std::exchange(waiting_, {});
  }

  bool empty() const { return waiting_.empty() && !asker_; }

private:
  std::vector<Item> waiting_;
  Item asker_ = nullptr;
  bool pausing_ = false;
  milliseconds pause_ = pause_first;
};

}  // namespace horizons::rabbitmq
