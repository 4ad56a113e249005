// A record of a dead-letter topic: the original, byte-identical, followed by headers that say what went wrong. Kafka
// Connect's header names, so that tools for its dead letters read ours, and our own. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "gateways/bridges/dead_letters.hpp"
#include "gateways/kafka/dead_letter_sink.hpp"
#include "gateways/kafka/topic_reader.hpp"
#include "messages/result.hpp"

namespace horizons::kafka {

/// Beside those of bridges/letter_headers.hpp: Connect's (apache/kafka, DeadLetterQueueReporter), and the trace as far
/// as it could be read.
namespace dead_letter_headers {
inline constexpr std::string_view connect_prefix = "__connect.errors.";
inline constexpr std::string_view trace_id = "horizons-trace-id";
}  // namespace dead_letter_headers

/// What goes to the dead-letter topic. `node` names us where Connect names its connector.
record to_dead_letter(const failed_record& f, std::string_view node);

/// The original of a dead letter, without what was added to it.
record original_of(const record& dead);
/// The same with the count of replays, as it goes back to its topic. Its time is when it is sent.
record to_send_back(const record& dead);

/// Where a dead letter came from; a record that somebody else put on "<topic>.dlq" came from <topic>.
struct origin_place {
  std::string topic;
  std::int32_t partition = -1;  // -1: not said
  std::int64_t offset = -1;
};
origin_place origin_of(const stored_record& dead);

/// State is "open": what was done with it stands in the journal.
bridges::dead_letter to_letter(const stored_record& dead);

/// "kafka:<topic>:<partition>:<offset>".
std::string letter_id(std::string_view topic, std::int32_t partition, std::int64_t offset);
/// Error: invalid_argument.
result<partition_range> parse_letter_id(std::string_view id);

/// Whether a letter is one that the filter asks for; state and limit are not looked at.
bool matches(const bridges::dead_letter_filter& filter, const bridges::dead_letter& letter);

}  // namespace horizons::kafka
