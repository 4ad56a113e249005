// Where the source puts a record that cannot be used: the record as it was and what went wrong. Writing it to
// "<topic>.dlq" is dead_letters.hpp's work.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "gateways/bridges/services.hpp"
#include "gateways/kafka/record.hpp"

namespace horizons::kafka {

enum class time_kind : std::uint8_t { none, create, log_append };

struct failed_record {
  std::string topic;
  std::int32_t partition = 0;
  std::uint64_t offset = 0;
  record original;  // byte-identical
  time_kind time = time_kind::none;
  /// poison (cannot be read), schema (no or another schema), transient (tried in vain), parked (its lane waits), else
  /// the name of the error: conflict, not_found, invalid_argument, forbidden …
  std::string reason;
  std::string error;  // one sentence
  int attempts = 1;   // 0: never tried, because its lane is parked
  timestamp first_failed_at{}, last_failed_at{};
  std::string job_id;       // as far as it could be read
  std::string traceparent;  // as it came; may be empty
};

/// Returns at once and answers once, on any thread, when the record is durable on the dead-letter topic. An error: it
/// is not, ask again later.
using dead_letter_sink = std::function<void(failed_record, bridges::callback<void>)>;

/// A header of records that were sent back from the dead letters: how often. Such a record passes a parked lane, and
/// the lane is released with it.
inline constexpr std::string_view replays_header = "horizons-replays";

}  // namespace horizons::kafka
