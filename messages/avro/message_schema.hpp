// The Avro schema of every event type and of the command, derived from the descriptions: one record per type
// (the envelope's fields, then `data`), called "horizons.job.Submitted" for "job.submitted".
//
// Texts are strings, times timestamp-millis, optional values a union with null first, free-form JSON a string
// with the JSON text. Every field but event_id, timestamp and data has its initialiser as default, so that
// fields can come and go without breaking a reader on either side.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "messages/avro/schema.hpp"

namespace horizons::avro {

struct message_schema {
  std::string type;  // "job.submitted", "command"
  int version;       // of its description
  std::string text;  // JSON, indented: what is committed and registered
  avro::schema schema;
};

/// All of them: the event types in the order of event_data, then the command. Made once.
std::span<const message_schema> message_schemas();

/// The one of `type`, or null.
const message_schema* schema_of(std::string_view type);

/// The one whose record is called `full_name` ("horizons.job.Submitted"), or null.
const message_schema* schema_of_record(std::string_view full_name);

}  // namespace horizons::avro
