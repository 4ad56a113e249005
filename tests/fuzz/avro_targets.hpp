// What the fuzzers of the Avro codec call, and the replay of their corpora too. A promise that does not hold aborts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "messages/avro/codec.hpp"
#include "messages/avro/compatibility.hpp"
#include "messages/avro/confluent.hpp"
#include "messages/avro/event_codec.hpp"
#include "messages/avro/resolution.hpp"

namespace horizons::fuzz {

inline void require_avro(bool holds) {
  if (!holds) std::abort();
}

inline std::string_view next_part(std::string_view& rest) {
  const auto end = rest.find('\0');
  const auto part = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
  return part;
}

/// Input: a writer's schema, NUL, a reader's schema, NUL, data. Later parts may be missing.
inline void avro_schema(std::string_view rest) {
  const auto writer_text = next_part(rest), reader_text = next_part(rest);
  const auto writer = avro::schema::parse(writer_text);
  const auto lenient = avro::schema::parse(writer_text, {.check_defaults = false});
  require_avro(!writer || lenient);
  if (!lenient) return;
  const auto again = avro::schema::parse(lenient->canonical());
  require_avro(again && again->canonical() == lenient->canonical());

  const auto own = avro::decode(*lenient, rest);
  if (own) {
    // What was read can be written, and what was written is read as the same.
    const auto octets = avro::encode(*lenient, *own);
    require_avro(octets.has_value());
    const auto back = avro::decode(*lenient, *octets);
    require_avro(back && avro::encode(*lenient, *back) == octets);
  }
  const auto reader = avro::schema::parse(reader_text);
  if (!reader) return;
  const bool readable = avro::can_read(*reader, *lenient).compatible();
  const auto resolved = avro::resolution(*lenient, *reader).decode(rest);
  if (resolved) require_avro(avro::encode(*reader, *resolved).has_value());
  // A promise of the checker holds for every datum, but for what the bytes alone decide: text that is no UTF-8, limits.
  if (own && readable && !resolved)
    require_avro(resolved.error().code == error_code::limit_exceeded ||
                 resolved.error().text.ends_with("not valid UTF-8"));
}

/// Readers for today's schema with one more field, so that they take the way through resolution.
inline const avro_reader& resolving_reader(std::size_t index) {
  static const auto readers = [] {
    std::vector<avro_reader> all;
    for (const auto& s : avro::message_schemas()) {
      auto document = nlohmann::json::parse(s.text);
      document["fields"].push_back({{"name", "more"}, {"type", "null"}, {"default", nullptr}});
      all.push_back(avro_reader::create(avro::schema::parse(document.dump()).value()).value());
    }
    return all;
  }();
  return readers[index];
}

/// Input: one byte that chooses the message, then its Avro binary. The direct way, the way through the value tree and
/// resolution must agree on what is a message and which.
inline void avro_event(std::string_view input) {
  if (input.empty()) return;
  const std::string_view bytes = input.substr(1);
  (void)avro::parse_frame(bytes);
  const auto schemas = avro::message_schemas();
  const std::size_t index = static_cast<unsigned char>(input[0]) % schemas.size();
  const auto& schema = schemas[index];
  // The added field takes no bytes, so the same bytes are a message of both schemas.
  if (schema.type == "command") {
    const auto direct = command_from_avro(bytes);
    const auto resolved = resolving_reader(index).read_command(bytes);
    require_avro(direct.has_value() == resolved.has_value());
    if (!direct) return;
    std::string octets;
    append_avro(*direct, octets);
    require_avro(*direct == *resolved && command_from_avro(octets) == direct);
    return;
  }
  const auto direct = event_from_avro(bytes, schema.type);
  const auto resolved = resolving_reader(index).read_event(bytes);
  require_avro(direct.has_value() == resolved.has_value());
  if (!direct) return;
  std::string octets;
  require_avro(append_avro(*direct, octets).has_value());
  require_avro(*direct == *resolved && event_from_avro(octets, schema.type) == direct);
  require_avro(avro::decode(schema.schema, octets).has_value());
}

}  // namespace horizons::fuzz
