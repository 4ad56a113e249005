// What a producer was given and no broker has acknowledged, in the order it was sent, and what became of the rest.
// Pure: no thread, clock or library.
#pragma once

#include <cstdint>
#include <iterator>
#include <list>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "gateways/kafka/batch_turns.hpp"
#include "gateways/kafka/producer.hpp"

namespace horizons::kafka {

struct producer_route;

/// A record under way.
struct producer_entry {
  using instant = std::chrono::steady_clock::time_point;

  producer_route* to = nullptr;
  record_ptr what;
  std::uint64_t token = 0;
  std::int32_t partition = -1;
  std::size_t bytes = 0;
  instant since{};
  bool sent = false;                             // librdkafka has it, and a report will come
  bool suspect = false;                          // was in a batch that was refused: goes alone next time
  batch_turns<producer_entry*>* turn = nullptr;  // it is counted in, or waits in
  std::list<producer_entry>::iterator self{};
};

class producer_ledger {
public:
  using list = std::list<producer_entry>;

  producer_ledger(std::size_t records_max, std::size_t bytes_max) : records_max_(records_max), bytes_max_(bytes_max) {}

  /// A record that is larger than the whole budget passes alone.
  bool fits(std::size_t bytes) const {
    return entries_.empty() || (entries_.size() < records_max_ && bytes_ + bytes <= bytes_max_);
  }
  producer_entry& add(producer_entry e) {
    if (spare_.empty()) spare_.emplace_back();
    entries_.splice(entries_.end(), spare_, spare_.begin());
    auto& kept = entries_.back();
    kept = std::move(e);
    kept.self = std::prev(entries_.end());
    bytes_ += kept.bytes;
    return kept;
  }
  void finish(producer_entry& e, delivery d) {
    deliveries_.push_back(std::move(d));
    bytes_ -= e.bytes;
    e.what.reset();
    spare_.splice(spare_.begin(), entries_, e.self);
  }
  /// What became of records since the last call, instead of what `into` has; its memory is used for the next ones.
  void take_deliveries(std::vector<delivery>& into) {
    into.clear();
    into.swap(deliveries_);
  }
  bool has_deliveries() const { return !deliveries_.empty(); }

  list& entries() { return entries_; }
  const list& entries() const { return entries_; }
  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }
  std::size_t bytes() const { return bytes_; }
  std::size_t records_max() const { return records_max_; }

private:
  std::size_t records_max_, bytes_max_;
  list entries_, spare_;  // spare: for the next ones
  std::size_t bytes_ = 0;
  std::vector<delivery> deliveries_;
};

}  // namespace horizons::kafka
