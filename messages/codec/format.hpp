// Which encoding a message has, by its content type, else by its first byte; and commands of any encoding.
#pragma once

#include <functional>
#include <string_view>

#include "messages/commands.hpp"
#include "messages/events.hpp"
#include "messages/result.hpp"

namespace horizons {

enum class message_format { json, msgpack, avro };

/// "application/json", "application/msgpack", "avro/binary".
std::string_view content_type_of(message_format format);

/// `content_type` decides where it names an encoding (parameters and case do not matter); empty,
/// application/octet-stream and text/plain leave it to the first byte: '{' or white space, a MessagePack map, or 0 for
/// Avro in the Confluent wire format. Error: invalid_argument for another content type, unreadable for another byte.
result<message_format> format_of(std::string_view content_type, std::string_view body);

/// Decodes Avro in the Confluent wire format; whoever holds the schemas gives it.
using avro_command_decoder = std::function<result<command>(std::string_view body)>;

/// A command as it arrived at any door. Without a decoder Avro is refused as invalid_argument.
result<command> decode_command(std::string_view content_type, std::string_view body,
                               const avro_command_decoder& avro = nullptr);

/// An event in JSON or MessagePack.
result<event> decode_event(std::string_view content_type, std::string_view body);

}  // namespace horizons
