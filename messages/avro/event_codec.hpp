// Events and commands as Avro binary, straight between struct and bytes. Data of another version of the schema
// are read through resolution. The frame of registries is confluent.hpp, the schemas are message_schema.hpp.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "messages/avro/message_schema.hpp"
#include "messages/avro/resolution.hpp"
#include "messages/commands.hpp"
#include "messages/events.hpp"
#include "messages/result.hpp"

namespace horizons {

/// Appends the Avro binary of a valid event. The only error: position or sequence above 2^63 - 1.
result<void> append_avro(const event& e, std::string& out);
void append_avro(const command& c, std::string& out);

/// Reads what append_avro wrote for an event of `type` ("job.progress"), with today's schema, and checks it like every
/// decoder does (make_event.hpp, validate). At most 1 MiB. Errors name path and reason.
result<event> event_from_avro(std::string_view bytes, std::string_view type);
result<command> command_from_avro(std::string_view bytes);

/// Reads the messages of one writer's schema, whichever version of ours or of somebody else's it is. Made once per
/// schema id. Safe from any thread.
class avro_reader {
public:
  /// The record's name says which message it is; a name that is none of ours is `not_found`.
  static result<avro_reader> create(avro::schema writer);

  /// "job.progress", "command".
  const std::string& type() const { return ours_->type; }

  result<event> read_event(std::string_view bytes) const;
  result<command> read_command(std::string_view bytes) const;

private:
  avro_reader(const avro::message_schema& ours, std::optional<avro::resolution> resolved)
      : ours_(&ours), resolved_(std::move(resolved)) {}

  const avro::message_schema* ours_;
  std::optional<avro::resolution> resolved_;  // empty: the writer's schema is today's
};

}  // namespace horizons
