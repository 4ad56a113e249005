// What the fuzzers of messages/ do with one input, as plain functions: a libFuzzer program and the replay of the
// committed corpus call the same. An input may be refused; what is accepted must survive being written and read again.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "messages/codec/cloudevents.hpp"
#include "messages/codec/json.hpp"
#include "messages/codec/msgpack.hpp"
#include "messages/envelope.hpp"
#include "messages/make_event.hpp"
#include "messages/trace.hpp"

namespace horizons::fuzz {

inline void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "property broken: %s\n", what);
  std::abort();
}

/// What was read once reads back from every encoding as the same value.
inline void check(const event& e) {
  must(validate(e).has_value(), "a decoder returns valid events only");
  const auto from_json = event_from_json(to_json(e), unknown_fields::refused);
  must(from_json && *from_json == e, "JSON round trip");
  const auto from_msgpack = event_from_msgpack(to_msgpack(e), unknown_fields::refused);
  must(from_msgpack && *from_msgpack == e, "MessagePack round trip");
}

inline void check(const command& c) {
  must(validate(c).has_value(), "a decoder returns valid commands only");
  const auto from_json = command_from_json(to_json(c), unknown_fields::refused);
  must(from_json && *from_json == c, "JSON round trip");
  const auto from_msgpack = command_from_msgpack(to_msgpack(c), unknown_fields::refused);
  must(from_msgpack && *from_msgpack == c, "MessagePack round trip");
}

inline void json_event(std::string_view input) {
  if (const auto e = event_from_json(input)) check(*e);
  if (const auto value = parse_json(input)) {
    const auto again = parse_json(json_text(*value));
    // Escapes and spelled-out numbers may push a value that just fitted over the limit.
    must(again ? *again == *value : again.error().code == error_code::limit_exceeded, "JSON value round trip");
  }
}

inline void json_command(std::string_view input) {
  if (const auto c = command_from_json(input)) check(*c);
}

inline void msgpack_event(std::string_view input) {
  if (const auto e = event_from_msgpack(input)) check(*e);
  if (const auto c = command_from_msgpack(input)) check(*c);
}

/// The content type on the first line, headers as "name: value" on the next ones, an empty line, the body.
inline void cloudevents(std::string_view input) {
  const auto line = [&] {
    const std::size_t end = input.find('\n');
    const std::string_view text = input.substr(0, end);
    input.remove_prefix(end == std::string_view::npos ? input.size() : end + 1);
    return text;
  };
  const std::string content_type(line());
  header_list headers;
  for (auto text = line(); !text.empty(); text = line()) {
    const std::size_t colon = text.find(": ");
    headers.emplace_back(text.substr(0, colon), colon == std::string_view::npos ? "" : text.substr(colon + 2));
  }
  const auto e = event_from_cloudevents(content_type, headers, input);
  if (!e) return;
  check(*e);
  const auto again = to_structured_cloudevents(*e, {.node = "n", .agent = {}, .dataset = {}, .gpus = {}});
  const auto read = event_from_cloudevents(again.content_type, again.headers, again.body);
  must(read && *read == *e, "CloudEvents round trip");
}

inline void envelope(std::string_view input) {
  const auto received = envelope_from_bytes(input);
  if (!received) return;
  must(envelope_from_bytes(to_bytes(*received)) == received, "envelope round trip");
  if (const auto e = open_event(*received)) check(*e);
  for_each_event_type([&]<class T>() {
    if (received->type != name_of<T>()) return;
    const auto opened = open<T>(*received);
    if (!opened) return;
    const auto sealed = seal(*opened);
    must(sealed && open<T>(*sealed) == opened, "remote message round trip");
  });
}

inline void traceparent(std::string_view input) {
  const auto trace = parse_traceparent(input);
  must(trace.has_value() == is_traceparent(input), "both readers agree");
  if (trace) must(parse_traceparent(to_string(*trace)) == trace, "traceparent round trip");
  must(is_traceparent(continue_trace(input)), "what is continued is a traceparent");
}

}  // namespace horizons::fuzz
