// Reads a stretch of a topic once, without a group: from where to where is known before it begins, so it ends. For
// looking at dead letters and for replay; the bridge's own reading is source.hpp.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "gateways/kafka/client.hpp"
#include "gateways/kafka/record.hpp"
#include "messages/result.hpp"

namespace horizons::kafka {

struct partition_range {
  std::string topic;
  std::int32_t partition = 0;
  std::int64_t first = 0, end = 0;  // offsets; end exclusive
  friend bool operator==(const partition_range&, const partition_range&) = default;
};

struct stored_record {
  std::string topic;
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  record what;  // its time is the one the broker keeps
};

class topic_reader {
public:
  static result<topic_reader> open(const kafka_options& options);

  /// What every partition holds now. Errors: not_found, unavailable.
  result<std::vector<partition_range>> all_of(const std::string& topic, milliseconds limit) const;
  /// The same between two times of the records (start inclusive, end exclusive): from the first record that is not
  /// older than `start` up to the first that is not older than `end`. Records whose times are out of order may lie on
  /// the wrong side: the caller looks at each one's time.
  result<std::vector<partition_range>> between(const std::string& topic, std::optional<timestamp> start,
                                               std::optional<timestamp> end, milliseconds limit) const;

  /// Calls `take` for every record, in order per partition, until the ranges are read or it returns false. Errors:
  /// unavailable (nothing came for `idle_limit`), forbidden.
  result<void> read(const std::vector<partition_range>& ranges, milliseconds idle_limit,
                    const std::function<bool(stored_record&&)>& take) const;

private:
  explicit topic_reader(client c) : client_(std::move(c)) {}
  /// Offsets of the first records not older than `when`; past the end, the end.
  result<void> look_up(std::vector<partition_range>& ranges, timestamp when, std::int64_t partition_range::*what,
                       milliseconds limit) const;
  client client_;
};

/// A received message as we keep records.
record to_record(const rd_kafka_message_t& m);

}  // namespace horizons::kafka
