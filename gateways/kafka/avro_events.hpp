// What the schema registry is asked for events: ids to write them with, schemas to read them with. Both block; see
// gateways/registry/registry_client.hpp for what happens when it is away.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "gateways/kafka/event_record.hpp"
#include "messages/events.hpp"
#include "messages/result.hpp"

namespace horizons::kafka {

/// Registers the schema of the type under its record's full name (RecordNameStrategy) when it is new. Errors:
/// unavailable; conflict: the registry holds another, incompatible one (`horizons schema check`).
schema_id_of registered_ids(const std::string& registry_url);

/// Decodes Avro in the Confluent wire format.
using avro_event_decoder = std::function<result<event>(std::string_view body)>;
/// Errors: unreadable, not_found (no such schema, or of a message that is none of ours), unavailable.
avro_event_decoder registered_decoder(const std::string& registry_url);

/// The event in a record: JSON or MessagePack, as CloudEvent of either mode or bare, or Avro when a decoder is given.
result<event> event_of(const record& r, const avro_event_decoder& avro = nullptr);

}  // namespace horizons::kafka
