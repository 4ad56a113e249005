// Order per job, parallel across jobs: of each key one item is being worked on, the others wait in the order they came.
// Pure value; bounded by the prefetch.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace horizons::rabbitmq {

template <class Item>
class lanes {
public:
  /// True: nobody is before it, begin now.
  bool add(const std::string& key, Item item) {
    auto& lane = lanes_[key];
    lane.push_back(std::move(item));
    return lane.size() == 1;
  }

  /// The lane's first item is finished; returns the one to begin now.
  std::optional<Item> done(const std::string& key) {
    const auto at = lanes_.find(key);
    if (at == lanes_.end()) return std::nullopt;
    at->second.pop_front();
    if (!at->second.empty()) return at->second.front();
    lanes_.erase(at);
    return std::nullopt;
  }

  /// The whole lane, in order: nobody works on it any more.
  std::vector<Item> give_up(const std::string& key) {
    const auto at = lanes_.find(key);
    if (at == lanes_.end()) return {};
    std::vector<Item> all(std::make_move_iterator(at->second.begin()), std::make_move_iterator(at->second.end()));
    lanes_.erase(at);
    return all;
  }

  void clear() { lanes_.clear(); }
  std::size_t size() const { return lanes_.size(); }

private:
  std::unordered_map<std::string, std::deque<Item>> lanes_;
};

}  // namespace horizons::rabbitmq
