// MessagePack of any described type: a template, for the envelope between nodes and for tests.
#pragma once

#include <string>
#include <string_view>

#include "messages/codec/msgpack_source.hpp"
#include "messages/codec/msgpack_writer.hpp"
#include "messages/codec/read.hpp"
#include "messages/codec/write.hpp"
#include "messages/result.hpp"

namespace horizons::codec {

/// Reads one whole message with `read(source, out)`; limits as in msgpack.hpp.
template <class T, class Read>
result<T> read_msgpack(std::string_view bytes, Read&& read) {
  if (bytes.size() > limits::message_bytes_max)
    return failure(error_code::limit_exceeded, "has " + std::to_string(bytes.size()) + " bytes; at most " +
                                                   std::to_string(limits::message_bytes_max));
  read_fault site;
  msgpack_source source{bytes, site};
  T out;
  if (!read(source, out)) return site.failure();
  if (!source.finished()) return failure(error_code::unreadable, "something follows the MessagePack message");
  return out;
}

template <described T>
std::string described_to_msgpack(const T& message) {
  auto& buffer = byte_buffer::of_thread();
  msgpack_writer writer{buffer};
  write_fields(writer, message);
  return buffer.text();
}

/// `version` is the writer's: fields that it knew must be there, unless the type has moved beyond.
template <described T>
result<T> described_from_msgpack(std::string_view bytes, int version = 0,
                                 unknown_fields policy = unknown_fields::ignored) {
  return read_msgpack<T>(bytes, [&](msgpack_source& s, T& out) { return read(s, out, read_options{policy, version}); });
}

}  // namespace horizons::codec
