#include "messages/codec/msgpack.hpp"

#include "messages/codec/msgpack_value.hpp"
#include "messages/codec/unchecked.hpp"
#include "messages/make_event.hpp"

namespace horizons {

std::string to_msgpack(const event& e) {
  auto& buffer = codec::byte_buffer::of_thread();
  codec::msgpack_writer writer{buffer};
  codec::write_event(writer, e);
  return buffer.text();
}

std::string to_msgpack(const command& c) {
  auto& buffer = codec::byte_buffer::of_thread();
  codec::msgpack_writer writer{buffer};
  codec::write_command(writer, c);
  return buffer.text();
}

result<event> event_from_msgpack(std::string_view bytes, unknown_fields policy) {
  auto e = codec::read_msgpack<event>(
      bytes, [&](codec::msgpack_source& s, event& out) { return codec::read_event(s, out, policy); });
  if (!e) return e;
  if (auto valid = validate(*e); !valid) return failure(std::move(valid.error()));
  return e;
}

result<command> unchecked_command_from_msgpack(std::string_view bytes, unknown_fields policy) {
  return codec::read_msgpack<command>(bytes, [&](codec::msgpack_source& s, command& out) {
    return codec::read(s, out, codec::read_options{policy, 0});
  });
}

result<command> command_from_msgpack(std::string_view bytes, unknown_fields policy) {
  auto c = unchecked_command_from_msgpack(bytes, policy);
  if (!c) return c;
  if (auto valid = validate(*c); !valid) return failure(std::move(valid.error()));
  return c;
}

}  // namespace horizons
