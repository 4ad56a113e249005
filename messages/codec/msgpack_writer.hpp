// Writes MessagePack with msgpack-c's packer straight into a byte buffer.
#pragma once

#include <cstdint>
#include <string_view>

#include <msgpack.hpp>

#include "messages/codec/buffer.hpp"
#include "messages/timestamp.hpp"

namespace horizons::codec {

class msgpack_writer {
public:
  explicit msgpack_writer(byte_buffer& out) : out_(out), pack_(out) {}

  void null() { pack_.pack_nil(); }
  void boolean(bool value) { value ? pack_.pack_true() : pack_.pack_false(); }
  void integer(std::int64_t value) { pack_.pack_int64(value); }
  void natural(std::uint64_t value) { pack_.pack_uint64(value); }
  void real(double value) {
    // The packer writes whole numbers as integers, and takes 2^64 for one that fits: it compares with the largest
    // uint64 as a double, which is 2^64.
    if (value == 0x1p64) return out_.put(std::string_view{"\xcb\x43\xf0\0\0\0\0\0\0", 9});
    pack_.pack_double(value);
  }
  void time(timestamp t) {  // the same map as JSON: a text, not an extension type
    const auto written = text_of(t);
    text({written.data(), written.size()});
  }

  void text(std::string_view text) {
    const auto length = static_cast<std::uint32_t>(text.size());  // bounded by validate() far below 2^32
    pack_.pack_str(length);
    pack_.pack_str_body(text.data(), length);
  }

  void begin_map(std::size_t entries) { pack_.pack_map(static_cast<std::uint32_t>(entries)); }
  void end_map() {}
  void begin_array(std::size_t elements) { pack_.pack_array(static_cast<std::uint32_t>(elements)); }
  void end_array() {}
  void element() {}
  void key(std::string_view name) { text(name); }
  void free_key(std::string_view name) { text(name); }

private:
  byte_buffer& out_;
  msgpack::packer<byte_buffer> pack_;
};

}  // namespace horizons::codec
