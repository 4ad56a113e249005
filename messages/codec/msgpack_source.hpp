// Reads MessagePack in place, one value at a time. msgpack-c's own unpacker reserves what a list claims to hold
// before it has seen the bytes; here a claim is first compared with the bytes that are left.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "messages/codec/token.hpp"

namespace horizons::codec {

/// A place in a message; a copy reads on from the same place on its own.
class msgpack_source {
public:
  msgpack_source(std::string_view bytes, read_fault& site)
      : at_(reinterpret_cast<const unsigned char*>(bytes.data())), end_(at_ + bytes.size()), site_(&site) {}

  read_fault& site() { return *site_; }
  bool finished() const { return at_ == end_; }

  bool next(token& t) {
    if (at_ == end_) return truncated();
    const unsigned head = *at_++;
    if (head < 0x80) return natural(t, head);
    if (head < 0x90) return container(t, kind::map, head & 0x0F);
    if (head < 0xA0) return container(t, kind::array, head & 0x0F);
    if (head < 0xC0) return text(t, head & 0x1F);
    if (head >= 0xE0) return signed_number(t, static_cast<std::int8_t>(head));
    switch (head) {
      case 0xC0:
        t.what = kind::null;
        return true;
      case 0xC2:
      case 0xC3:
        t.what = kind::boolean;
        t.flag = head == 0xC3;
        return true;
      case 0xCA:
        return scalar<std::uint32_t>([&](auto bits) { return real(t, std::bit_cast<float>(bits)); });
      case 0xCB:
        return scalar<std::uint64_t>([&](auto bits) { return real(t, std::bit_cast<double>(bits)); });
      case 0xCC:
        return scalar<std::uint8_t>([&](auto value) { return natural(t, value); });
      case 0xCD:
        return scalar<std::uint16_t>([&](auto value) { return natural(t, value); });
      case 0xCE:
        return scalar<std::uint32_t>([&](auto value) { return natural(t, value); });
      case 0xCF:
        return scalar<std::uint64_t>([&](auto value) { return natural(t, value); });
      case 0xD0:
        return scalar<std::uint8_t>([&](auto bits) { return signed_number(t, std::int8_t(bits)); });
      case 0xD1:
        return scalar<std::uint16_t>([&](auto bits) { return signed_number(t, std::int16_t(bits)); });
      case 0xD2:
        return scalar<std::uint32_t>([&](auto bits) { return signed_number(t, std::int32_t(bits)); });
      case 0xD3:
        return scalar<std::uint64_t>([&](auto bits) { return signed_number(t, std::int64_t(bits)); });
      case 0xD9:
        return scalar<std::uint8_t>([&](auto length) { return text(t, length); });
      case 0xDA:
        return scalar<std::uint16_t>([&](auto length) { return text(t, length); });
      case 0xDB:
        return scalar<std::uint32_t>([&](auto length) { return text(t, length); });
      case 0xDC:
        return scalar<std::uint16_t>([&](auto count) { return container(t, kind::array, count); });
      case 0xDD:
        return scalar<std::uint32_t>([&](auto count) { return container(t, kind::array, count); });
      case 0xDE:
        return scalar<std::uint16_t>([&](auto count) { return container(t, kind::map, count); });
      case 0xDF:
        return scalar<std::uint32_t>([&](auto count) { return container(t, kind::map, count); });
      case 0xC4:
        return scalar<std::uint8_t>([&](auto length) { return binary(t, length); });
      case 0xC5:
        return scalar<std::uint16_t>([&](auto length) { return binary(t, length); });
      case 0xC6:
        return scalar<std::uint32_t>([&](auto length) { return binary(t, length); });
      case 0xC7:
        return scalar<std::uint8_t>([&](auto length) { return other(t, "an extension type", length + 1u); });
      case 0xC8:
        return scalar<std::uint16_t>([&](auto length) { return other(t, "an extension type", length + 1u); });
      case 0xC9:
        return scalar<std::uint32_t>(
            [&](auto length) { return other(t, "an extension type", length + std::size_t{1}); });
      case 0xD4:
      case 0xD5:
      case 0xD6:
      case 0xD7:
      case 0xD8:
        return other(t, "an extension type", (std::size_t{1} << (head - 0xD4)) + 1);
      default:
        return site_->refuse(error_code::unreadable, "byte c1, which MessagePack never uses");
    }
  }

  template <class F>
  bool fields(const token& t, F&& f) {
    if (!enter()) return false;
    for (std::size_t i = 0; i < t.count; ++i) {
      token key;
      if (!next(key)) return false;
      if (key.what != kind::text) return site_->wrong(key, "a string as key");
      if (!f(key.text, *this)) return false;
    }
    --depth_;
    return true;
  }

  template <class F>
  bool elements(const token& t, F&& f) {
    if (!enter()) return false;
    for (std::size_t i = 0; i < t.count; ++i)
      if (!f(i, *this)) return false;
    --depth_;
    return true;
  }

private:
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  bool truncated() { return site_->refuse(error_code::unreadable, "not MessagePack: the message ends too early"); }

  bool enter() {
    return ++depth_ <= limits::depth_max ||
           site_->refuse(error_code::limit_exceeded, "nested more than " + std::to_string(limits::depth_max) + " deep");
  }

  template <class Unsigned, class F>
  bool scalar(F&& f) {
    if (left() < sizeof(Unsigned)) return truncated();
    Unsigned value = 0;
    for (std::size_t i = 0; i < sizeof(Unsigned); ++i)
      value = static_cast<Unsigned>(std::uint64_t{value} << 8 | at_[i]);
    at_ += sizeof(Unsigned);
    return f(value);
  }

  bool natural(token& t, std::uint64_t value) {
    t.what = kind::natural;
    t.natural = value;
    return true;
  }

  bool signed_number(token& t, std::int64_t value) {
    t.what = value < 0 ? kind::negative : kind::natural;
    t.negative = value;
    t.natural = static_cast<std::uint64_t>(value);
    return true;
  }

  bool real(token& t, double value) {
    t.what = kind::real;
    t.real = value;
    return std::isfinite(value) ||
           site_->refuse(error_code::unreadable, number_text(value) + " found; expected a finite number");
  }

  bool text(token& t, std::size_t length) {
    if (left() < length) return truncated();
    t.what = kind::text;
    t.text = {reinterpret_cast<const char*>(at_), length};
    at_ += length;
    return is_utf8(t.text) ||
           site_->refuse(error_code::unreadable, quote(t.text) + " is not valid UTF-8; expected UTF-8 text");
  }

  bool container(token& t, kind what, std::size_t count) {
    t.what = what;
    t.count = count;
    const std::size_t bytes_min = what == kind::map ? 2 * count : count;
    return bytes_min <= left() ||
           site_->refuse(error_code::unreadable, "claims " + std::to_string(count) + " elements, but only " +
                                                     std::to_string(left()) + " bytes follow");
  }

  bool binary(token& t, std::size_t length) {
    if (left() < length) return truncated();
    t.is_binary = true;
    t.bytes = {reinterpret_cast<const char*>(at_), length};
    return other(t, "binary data", length);
  }

  bool other(token& t, std::string_view word, std::size_t length) {
    if (left() < length) return truncated();
    t.what = kind::other;
    t.text = word;
    at_ += length;
    return true;
  }

  const unsigned char* at_;
  const unsigned char* end_;
  read_fault* site_;
  std::size_t depth_ = 0;
};

}  // namespace horizons::codec
