// Deliveries without an acknowledgement, and how to acknowledge finished ones with few frames: one for all up to a tag
// where none below it is open, single ones for the rest. Pure value.
#pragma once

#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

namespace horizons::rabbitmq {

class delivery_ledger {
public:
  struct ack {
    std::uint64_t tag = 0;
    bool multiple = false;
    friend bool operator==(const ack&, const ack&) = default;
  };

  void delivered(std::uint64_t tag) { open_.insert(open_.end(), tag); }
  /// To be acknowledged with the next flush().
  void finished(std::uint64_t tag) {
    if (open_.erase(tag)) ready_.push_back(tag);
  }
  /// Given back or rejected: acknowledged by other means, now.
  bool withdrawn(std::uint64_t tag) { return open_.erase(tag) > 0; }

  std::vector<ack> flush() {
    std::sort(ready_.begin(), ready_.end());
    const auto below = open_.empty() ? ready_.end() : std::lower_bound(ready_.begin(), ready_.end(), *open_.begin());
    std::vector<ack> out;
    if (below != ready_.begin()) out.push_back({*(below - 1), below - ready_.begin() > 1});
    for (auto at = below; at != ready_.end(); ++at) out.push_back({*at, false});
    ready_.clear();
    return out;
  }

  void clear() {
    open_.clear();
    ready_.clear();
  }
  std::size_t open() const { return open_.size(); }
  std::size_t ready() const { return ready_.size(); }

private:
  std::set<std::uint64_t> open_;
  std::vector<std::uint64_t> ready_;
};

}  // namespace horizons::rabbitmq
