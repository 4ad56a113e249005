#include "gateways/kafka/producer_statistics.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace horizons::kafka {

producer_statistics read_producer_statistics(std::string_view json) {
  using pointer = nlohmann::json::json_pointer;
  static const pointer throttle_max("/throttle/max"), round_trip_avg("/rtt/avg");
  producer_statistics out;
  const auto s = nlohmann::json::parse(json, nullptr, false);
  if (!s.is_object()) return out;
  const auto brokers = s.find("brokers"), topics = s.find("topics");
  if (brokers != s.end())
    for (const auto& broker : *brokers) {
      out.wire_bytes += broker.value("txbytes", std::uint64_t{0});
      out.throttle_ms = std::max(out.throttle_ms, broker.value(throttle_max, std::int64_t{0}));
      out.round_trip_us = std::max(out.round_trip_us, broker.value(round_trip_avg, std::int64_t{0}));
    }
  if (topics != s.end())
    for (const auto& [topic, t] : topics->items()) {
      const auto partitions = t.value("partitions", nlohmann::json::object());
      out.topics.emplace_back(topic, partitions.size() - partitions.contains("-1"));  // those not assigned yet
    }
  return out;
}

}  // namespace horizons::kafka
