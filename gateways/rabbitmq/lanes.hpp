// Order per job, parallel across jobs: of each key one item is being worked on, the others wait in the order they came.
// Keys are hashes: two jobs that share one by chance wait for each other, which harms nobody. Pure value; bounded by
// the prefetch.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace horizons::rabbitmq {

template <class Item>
class lanes {
public:
  /// True: nobody is before it, begin now. False: it waits.
  bool add(std::uint64_t key, const Item& item) {
    const auto [at, is_new] = lanes_.try_emplace(key);
    if (!is_new) at->second.push_back(item);
    return is_new;
  }

  /// The item of that key that was begun is finished; returns the one to begin now.
  std::optional<Item> done(std::uint64_t key) {
    const auto at = lanes_.find(key);
    if (at == lanes_.end()) return std::nullopt;
    auto& waiting = at->second;
    if (waiting.empty()) {
      lanes_.erase(at);
      return std::nullopt;
    }
    auto next = std::move(waiting.front());
    waiting.erase(waiting.begin());  // more than a few of one job at a time are rare
    return next;
  }

  /// Those that wait, in order; nobody works on this key any more.
  std::vector<Item> give_up(std::uint64_t key) {
    const auto at = lanes_.find(key);
    if (at == lanes_.end()) return {};
    auto all = std::move(at->second);
    lanes_.erase(at);
    return all;
  }

  void clear() { lanes_.clear(); }
  std::size_t size() const { return lanes_.size(); }

private:
  std::unordered_map<std::uint64_t, std::vector<Item>> lanes_;  // what waits, by key
};

}  // namespace horizons::rabbitmq
