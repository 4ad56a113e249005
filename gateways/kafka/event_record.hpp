// An event as Kafka records: on which topics, under which key, in which encoding, with which headers (contract:
// "Events"). Pure: schema ids come from a function.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "gateways/kafka/record.hpp"
#include "messages/codec/cloudevents.hpp"
#include "messages/codec/format.hpp"
#include "messages/events.hpp"
#include "messages/result.hpp"

namespace horizons::kafka {

/// "json", "avro", "msgpack": the values of kafka.format. Error: invalid_argument.
result<message_format> parse_format(std::string_view text);

/// The registry's id of the schema of an event type ("job.progress"). May block. Errors: unavailable: ask again later.
using schema_id_of = std::function<result<std::uint32_t>(std::string_view type)>;

/// The same record goes to all topics.
struct event_record {
  std::vector<std::string_view> topics;  // of the catalogue; never empty
  record_ptr what;
};

/// CloudEvents in binary mode: ce_… headers, content-type, X-… headers, traceparent; the record's time is the event's.
/// Errors: those of `schema_id` (Avro only), and for an event that the encoding cannot say.
result<event_record> record_of(const event& e, const cloudevents_origin& origin, message_format format,
                               const schema_id_of& schema_id = nullptr);

}  // namespace horizons::kafka
