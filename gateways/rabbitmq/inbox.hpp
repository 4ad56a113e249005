// Answers that come one by one on any thread and are taken by their actor many at a time: it is woken once for all that
// came meanwhile.
#pragma once

#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace horizons::rabbitmq {

template <class Item>
class inbox {
public:
  /// `wake` is called on the thread that puts, when there is something to take() after there was nothing.
  explicit inbox(std::function<void()> wake) : wake_(std::move(wake)) {}

  void put(Item item) {
    bool first;
    {
      const std::lock_guard lock(mutex_);
      first = items_.empty();
      items_.push_back(std::move(item));
    }
    if (first) wake_();
  }

  /// All, in the order they came, into what must be empty: its room is used again.
  void take(std::vector<Item>& into) {
    const std::lock_guard lock(mutex_);
    items_.swap(into);
  }

private:
  const std::function<void()> wake_;
  std::mutex mutex_;
  std::vector<Item> items_;  // as many as there are open questions
};

}  // namespace horizons::rabbitmq
