#include "messages/codec/format.hpp"

#include "messages/codec/json.hpp"
#include "messages/codec/msgpack.hpp"
#include "messages/codec/unchecked.hpp"
#include "messages/text.hpp"

namespace horizons {

std::string_view content_type_of(message_format format) {
  switch (format) {
    case message_format::json:
      return "application/json";
    case message_format::msgpack:
      return "application/msgpack";
    case message_format::avro:
      return "avro/binary";
  }
  return "application/octet-stream";
}

result<message_format> format_of(std::string_view content_type, std::string_view body) {
  if (content_type == "application/json") return message_format::json;  // nearly all: nothing is copied
  std::string media;
  for (const char c : content_type.substr(0, content_type.find(';'))) {
    if (c == ' ' || c == '\t') continue;
    media += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  if (media == "application/json" || media == "text/json" || media.ends_with("+json")) return message_format::json;
  if (media == "application/msgpack" || media == "application/x-msgpack" || media == "application/vnd.msgpack" ||
      media.ends_with("+msgpack"))
    return message_format::msgpack;
  if (media == "avro/binary" || media == "application/avro" || media == "application/vnd.apache.avro" ||
      media.ends_with("+avro"))
    return message_format::avro;
  if (!media.empty() && media != "application/octet-stream" && media != "text/plain")
    return failure(error_code::invalid_argument,
                   "content-type " + quote(content_type) +
                       " is unknown; expected application/json, application/msgpack or avro/binary");

  if (body.empty()) return failure(error_code::unreadable, "the message is empty");
  const auto first = static_cast<unsigned char>(body[0]);
  if (first == '{' || first == ' ' || first == '\t' || first == '\r' || first == '\n') return message_format::json;
  if ((first & 0xF0) == 0x80 || first == 0xDE || first == 0xDF) return message_format::msgpack;
  if (first == 0) return message_format::avro;
  return failure(error_code::unreadable, "the message begins " + quote(body, 16) +
                                             ": neither a JSON object, a MessagePack map nor Avro with a schema id");
}

result<void> decode_unchecked_command(std::string_view content_type, std::string_view body, command& into) {
  const auto format = format_of(content_type, body);
  if (!format) return failure(format.error());
  switch (*format) {
    case message_format::json:
      return unchecked_command_from_json(body, into);
    case message_format::msgpack: {
      auto read = unchecked_command_from_msgpack(body);
      if (!read) return failure(std::move(read.error()));
      into = std::move(*read);
      return {};
    }
    case message_format::avro:
      break;
  }
  return failure(error_code::invalid_argument,
                 "the message is Avro, which this door does not read; send JSON or MessagePack");
}

result<command> decode_unchecked_command(std::string_view content_type, std::string_view body,
                                         const avro_command_decoder& avro) {
  if (const auto format = format_of(content_type, body); avro && format && *format == message_format::avro)
    return avro(body);
  command c;
  if (auto read = decode_unchecked_command(content_type, body, c); !read) return failure(std::move(read.error()));
  return c;
}

result<command> decode_command(std::string_view content_type, std::string_view body, const avro_command_decoder& avro) {
  auto c = decode_unchecked_command(content_type, body, avro);
  if (!c) return c;
  if (auto valid = validate(*c); !valid) return failure(std::move(valid.error()));
  return c;
}

result<event> decode_event(std::string_view content_type, std::string_view body) {
  const auto format = format_of(content_type, body);
  if (!format) return failure(format.error());
  switch (*format) {
    case message_format::json:
      return event_from_json(body);
    case message_format::msgpack:
      return event_from_msgpack(body);
    case message_format::avro:
      break;
  }
  return failure(error_code::invalid_argument, "the message is Avro, whose reader needs its schemas");
}

}  // namespace horizons
