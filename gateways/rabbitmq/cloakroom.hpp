// What waits for an answer stays here under a number, and only the number travels: an answer that comes on any thread,
// or when all this is gone, brings nothing with it that could be touched. Pure value; as large as its fullest moment.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace horizons::rabbitmq {

template <class Item>
class cloakroom {
public:
  /// The number is given again once the item was fetched.
  std::uint32_t leave(Item item) {
    if (free_.empty()) {
      items_.push_back(std::move(item));
      return static_cast<std::uint32_t>(items_.size() - 1);
    }
    const auto number = free_.back();  // the last one is in the processor's cache still
    free_.pop_back();
    items_[number] = std::move(item);
    return number;
  }
  /// Once for each leave().
  Item fetch(std::uint32_t number) {
    free_.push_back(number);
    return std::move(items_[number]);
  }
  std::size_t size() const { return items_.size() - free_.size(); }

private:
  std::vector<Item> items_;
  std::vector<std::uint32_t> free_;
};

}  // namespace horizons::rabbitmq
