// CloudEvents 1.0 around our messages, for Kafka and for AMQP 0-9-1 (as Knative's RabbitMQ binding does; there is no
// official one). Headers are plain pairs: no broker library is known here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "messages/codec/format.hpp"
#include "messages/events.hpp"
#include "messages/result.hpp"

namespace horizons {

using header_list = std::vector<std::pair<std::string, std::string>>;

/// A message as a broker carries it.
struct wire_message {
  std::string content_type;  // AMQP: the property; Kafka: also the header of that name
  header_list headers;
  std::string body;

  friend bool operator==(const wire_message&, const wire_message&) = default;
};

enum class cloudevents_binding { kafka, amqp };  // "ce_id" or "ce-id"

/// What the headers say beside the event itself.
struct cloudevents_origin {
  std::string node;   // id of the node or cluster: source is "/horizons/<node>"
  std::string agent;  // X-Agent, X-Dataset, X-GPU-Count: known from the job; job.submitted says its own
  std::string dataset;
  std::optional<int> gpus;
};

/// Binary mode: the attributes as headers, X-Correlation-ID and its siblings, `traceparent`. datacontenttype travels as
/// content-type, as the bindings say. A header whose value would be empty is left out.
header_list cloudevents_headers(const event& e, const cloudevents_origin& origin, cloudevents_binding binding,
                                message_format format);

/// Binary mode with the event as body, in JSON or MessagePack (for Avro encode the body and take the headers alone).
wire_message to_cloudevents(const event& e, const cloudevents_origin& origin, cloudevents_binding binding,
                            message_format format = message_format::json);

/// Structured mode: application/cloudevents+json, the event as `data`.
wire_message to_structured_cloudevents(const event& e, const cloudevents_origin& origin);

/// One CloudEvent as it was received.
struct cloud_event {
  std::string id, source, type;  // never empty
  std::string subject, time, data_content_type, data_schema;
  header_list extensions;           // lower-case names
  std::optional<std::string> data;  // absent in structured mode without data, or an empty body

  const std::string* extension(std::string_view name) const;
};

/// Whether the message claims to be a CloudEvent: structured content type, or a specversion header.
bool is_cloudevents(std::string_view content_type, const header_list& headers);

/// Reads either mode. Accepted prefixes: ce-, ce_, cloudEvents:, cloudEvents_ (one of them per message); header names
/// in any case. Errors: unreadable (no such mode, attribute missing, twice or malformed), limit_exceeded (more than
/// 128 headers, a value over 64 KiB, a body over 1 MiB).
result<cloud_event> read_cloudevents(std::string_view content_type, const header_list& headers, std::string_view body);

/// An event that came as a CloudEvent; id and type must agree with the event inside.
result<event> event_from_cloudevents(std::string_view content_type, const header_list& headers, std::string_view body);

}  // namespace horizons
