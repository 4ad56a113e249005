// What a producer wants to know of librdkafka's statistics (JSON, once a second). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace horizons::kafka {

struct producer_statistics {
  std::uint64_t wire_bytes = 0;                               // sent to all brokers
  std::int64_t throttle_ms = 0, round_trip_us = 0;            // of the worst broker
  std::vector<std::pair<std::string, std::size_t>> topics{};  // and how many partitions each has
};

/// Empty when it is none.
producer_statistics read_producer_statistics(std::string_view json);

}  // namespace horizons::kafka
