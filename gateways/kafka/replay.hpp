// Events from anywhere into a topic, and events out of a topic by time: what `horizons replay` does with Kafka. Plain
// functions that block; where the events come from or go to, and what is printed, is the command line's.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "gateways/kafka/avro_events.hpp"
#include "gateways/kafka/client.hpp"
#include "gateways/kafka/event_record.hpp"
#include "gateways/kafka/topic_reader.hpp"
#include "messages/events.hpp"
#include "messages/result.hpp"

namespace horizons::kafka {

/// The next events, some thousand at most; none: that was all.
using event_pull = std::function<result<std::vector<event>>()>;

struct publish_options {
  kafka_options kafka;  // kafka.format says how values are written
  std::string topic;    // must exist
  schema_id_of schema_id{};
  std::string node;                                 // in the CloudEvents source
  std::function<bool(std::uint64_t sent)> go_on{};  // called after every page; false ends it
};

struct publish_report {
  std::uint64_t events = 0;        // acknowledged
  std::uint64_t refused = 0;       // no broker takes them, or the format cannot say them
  std::vector<std::string> notes;  // the first reasons
};

/// In the order given, each under its own key, so that the order per key holds. Errors: not_found (no such topic),
/// unavailable; what was sent before stays sent.
result<publish_report> publish_events(const publish_options& options, const event_pull& pull);

struct topic_query {
  kafka_options kafka;
  std::string topic;
  std::optional<timestamp> start, end;  // of the events; start inclusive, end exclusive
  std::string job_id, type;             // empty: any
  milliseconds limit{30'000};           // without an answer from the brokers
};

struct topic_read_report {
  std::uint64_t records = 0, events = 0;  // looked at, given to `take`
  std::uint64_t unreadable = 0;
  std::vector<std::string> notes;  // the first reasons
};

/// Every event of the topic that the query asks for: in order per partition, so per key. `take` false ends it. What is
/// appended while it reads is not read. Errors: not_found, unavailable (also: a schema cannot be fetched), forbidden.
result<topic_read_report> read_topic_events(const topic_query& query, const avro_event_decoder& avro,
                                            const std::function<bool(event&&, const stored_record&)>& take);

}  // namespace horizons::kafka
