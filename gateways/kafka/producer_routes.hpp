// The topics that a producer sends to, and whose turn it is in each of their partitions. Pure but for the partitioner,
// which is librdkafka's.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gateways/kafka/producer_ledger.hpp"

namespace horizons::kafka {

/// One topic.
struct producer_route {
  using instant = std::chrono::steady_clock::time_point;

  std::string topic;
  rd_kafka_topic_t* handle = nullptr;  // of the present instance
  std::vector<batch_turns<producer_entry*>>
      turns;                // one per partition; empty: their number is not known, nothing waits
  instant next_question{};  // how many there are

  /// Of the partition that librdkafka will most likely choose; null: unknown.
  batch_turns<producer_entry*>* turn_of(const producer_entry& e) {
    auto partition = e.partition;
    if (partition == producer::by_key && e.what->key && !turns.empty())
      partition = rd_kafka_msg_partitioner_murmur2(nullptr, e.what->key->data(), e.what->key->size(),
                                                   static_cast<std::int32_t>(turns.size()), nullptr, nullptr);
    const auto at = static_cast<std::size_t>(partition);
    return partition >= 0 && at < turns.size() ? &turns[at] : nullptr;
  }
};

class producer_routes {
public:
  producer_route& of(std::string_view topic) {
    if (last_ && last_->topic == topic) return *last_;
    auto at = routes_.find(topic);
    if (at == routes_.end()) at = routes_.emplace(topic, producer_route{.topic = std::string(topic)}).first;
    return *(last_ = &at->second);
  }
  producer_route* find(std::string_view topic) {
    const auto at = routes_.find(topic);
    return at == routes_.end() ? nullptr : &at->second;
  }
  /// For a new instance: nothing is under way, and handles of the old one are gone.
  void begin_anew() {
    for (auto& [topic, r] : routes_) {
      r.turns.assign(r.turns.size(), {});
      r.handle = nullptr;
    }
  }
  auto begin() { return routes_.begin(); }
  auto end() { return routes_.end(); }

private:
  std::map<std::string, producer_route, std::less<>> routes_;
  producer_route* last_ = nullptr;  // most records go where the one before went
};

}  // namespace horizons::kafka
