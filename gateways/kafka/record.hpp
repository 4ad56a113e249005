// One record as Kafka keeps it, owned by us. Keys, values and the values of headers may be null, which is not the same
// as empty.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "messages/timestamp.hpp"

namespace horizons::kafka {

using record_headers = std::vector<std::pair<std::string, std::optional<std::string>>>;

struct record {
  std::optional<std::string> key, value;
  record_headers headers;         // in order; names may repeat
  std::optional<timestamp> time;  // absent: when it is sent
  friend bool operator==(const record&, const record&) = default;
};

/// Shared, because one event goes to several topics, and kept until the brokers have acknowledged it.
using record_ptr = std::shared_ptr<const record>;

/// In memory, about.
inline std::size_t bytes_of(const record& r) {
  std::size_t sum = (r.key ? r.key->size() : 0) + (r.value ? r.value->size() : 0);
  for (const auto& [name, value] : r.headers) sum += name.size() + (value ? value->size() : 0) + 8;
  return sum + 64;
}

/// In a batch on the wire, uncompressed; mostly a few bytes less.
inline std::size_t wire_bytes_of(const record& r) {
  std::size_t sum = 20 + (r.key ? r.key->size() : 0) + (r.value ? r.value->size() : 0);
  for (const auto& [name, value] : r.headers) sum += name.size() + (value ? value->size() : 0) + 6;
  return sum;
}

}  // namespace horizons::kafka
