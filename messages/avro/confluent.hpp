// The frame that schema registries put around a datum: a zero byte, the schema's id (32 bit, big-endian), then
// Avro binary. docs.confluent.io, "Wire format".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "messages/result.hpp"

namespace horizons::avro {

inline constexpr std::size_t frame_bytes = 5;

struct framed {
  std::uint32_t schema_id = 0;
  std::string_view datum;  // points into the input
};

/// Appends the five bytes; the datum follows.
inline void append_frame(std::uint32_t schema_id, std::string& out) {
  const char head[frame_bytes] = {0, static_cast<char>(schema_id >> 24), static_cast<char>(schema_id >> 16),
                                  static_cast<char>(schema_id >> 8), static_cast<char>(schema_id)};
  out.append(head, frame_bytes);
}

/// Whether `bytes` may be a framed datum (JSON and MessagePack never begin with a zero byte here).
inline bool is_framed(std::string_view bytes) { return bytes.size() >= frame_bytes && bytes[0] == 0; }

/// Takes the frame off. Errors: too short, or another magic byte.
inline result<framed> parse_frame(std::string_view bytes) {
  if (bytes.size() < frame_bytes)
    return failure(error_code::unreadable,
                   std::to_string(bytes.size()) + " bytes; expected a zero byte and a schema id of 4");
  if (bytes[0] != 0)
    return failure(error_code::unreadable, "the first byte is " + std::to_string(static_cast<unsigned char>(bytes[0])) +
                                               "; expected 0 (a schema id follows)");
  std::uint32_t id = 0;
  for (std::size_t i = 1; i < frame_bytes; ++i) id = id << 8 | static_cast<unsigned char>(bytes[i]);
  return framed{id, bytes.substr(frame_bytes)};
}

}  // namespace horizons::avro
