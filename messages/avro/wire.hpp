// The bytes of Avro's binary encoding, one primitive at a time (specification 1.11, "Binary Encoding").
// `sink` grows a string; `cursor` walks over input that nobody has checked. Both are small enough to inline.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "messages/fault.hpp"
#include "messages/text.hpp"

namespace horizons::avro {

static_assert(std::endian::native == std::endian::little, "floats are written as they lie in memory");

/// Appends to a string. The string's tail is scratch until `finish`.
class sink {
public:
  explicit sink(std::string& out) : out_(out), used_(out.size()) {}

  /// Makes room for `n` more bytes.
  void ensure(std::size_t n) {
    if (out_.size() - used_ < n) out_.resize(std::max(used_ + n, out_.size() * 2));
  }
  void finish() { out_.resize(used_); }
  std::size_t size() const { return used_; }

  void put_octet(std::uint8_t b) {
    ensure(1);
    out_[used_++] = static_cast<char>(b);
  }
  void put_long(std::int64_t n) {
    ensure(10);
    auto z = (static_cast<std::uint64_t>(n) << 1) ^ static_cast<std::uint64_t>(n >> 63);
    char* at = out_.data() + used_;
    while (z >= 0x80) {
      *at++ = static_cast<char>(z | 0x80);
      z >>= 7;
    }
    *at++ = static_cast<char>(z);
    used_ = static_cast<std::size_t>(at - out_.data());
  }
  template <class Float>
  void put_float(Float x) {
    ensure(sizeof x);
    std::memcpy(out_.data() + used_, &x, sizeof x);
    used_ += sizeof x;
  }
  void put_octets(std::string_view octets) {
    ensure(octets.size());
    if (!octets.empty()) std::memcpy(out_.data() + used_, octets.data(), octets.size());
    used_ += octets.size();
  }
  void put_string(std::string_view text) {
    ensure(10 + text.size());
    put_long(static_cast<std::int64_t>(text.size()));
    if (!text.empty()) std::memcpy(out_.data() + used_, text.data(), text.size());
    used_ += text.size();
  }

private:
  std::string& out_;
  std::size_t used_;
};

/// Walks over untrusted bytes. Every `get_` returns false at the first fault and leaves the reason in `site`;
/// callers unwind and put their field's name before its path.
class cursor {
public:
  explicit cursor(std::string_view bytes) : at_(bytes.data()), end_(at_ + bytes.size()), size_(bytes.size()) {}

  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  std::size_t position() const { return size_ - left(); }

  bool get_octet(std::uint8_t& b) {
    if (at_ == end_) return truncated(1);
    b = static_cast<std::uint8_t>(*at_++);
    return true;
  }
  bool get_boolean(bool& b) {
    std::uint8_t octet = 0;
    if (!get_octet(octet)) return false;
    if (octet > 1) return fail("boolean byte is " + std::to_string(octet) + "; expected 0 or 1");
    b = octet == 1;
    return true;
  }
  bool get_long(std::int64_t& n) {
    std::uint64_t z = 0;
    if (at_ != end_ && static_cast<unsigned char>(*at_) < 0x80) {
      z = static_cast<unsigned char>(*at_++);
    } else if (!get_varint(z)) {
      return false;
    }
    n = static_cast<std::int64_t>((z >> 1) ^ (~(z & 1) + 1));
    return true;
  }
  bool get_int(std::int32_t& n) {
    std::int64_t wide = 0;
    if (!get_long(wide)) return false;
    if (wide != static_cast<std::int32_t>(wide)) return fail(std::to_string(wide) + " does not fit an int (32 bit)");
    n = static_cast<std::int32_t>(wide);
    return true;
  }
  template <class Float>
  bool get_float(Float& x) {
    if (left() < sizeof x) return truncated(sizeof x);
    std::memcpy(&x, at_, sizeof x);
    at_ += sizeof x;
    return true;
  }
  /// `octets` points into the input.
  bool get_octets(std::size_t n, std::string_view& octets) {
    if (left() < n) return truncated(n);
    octets = {at_, n};
    at_ += n;
    return true;
  }
  bool get_bytes(std::string_view& octets) {
    std::int64_t n = 0;
    if (!get_long(n)) return false;
    if (n < 0) return fail("length " + std::to_string(n) + " is negative");
    return get_octets(static_cast<std::size_t>(n), octets);
  }
  bool get_string(std::string_view& text) {
    if (!get_bytes(text)) return false;
    if (!is_utf8(text)) return fail("not valid UTF-8");
    return true;
  }
  /// One block header of an array or map: how many items follow; 0 ends it. A negative count comes with the
  /// block's size in bytes, which must lie inside the input (specification "Arrays").
  bool get_block(std::uint64_t& count) {
    std::int64_t n = 0, octets = 0;
    if (!get_long(n)) return false;
    if (n >= 0) {
      count = static_cast<std::uint64_t>(n);
      return true;
    }
    if (!get_long(octets)) return false;
    if (octets < 0 || static_cast<std::uint64_t>(octets) > left())
      return fail("block of " + std::to_string(octets) + " bytes, " + std::to_string(left()) + " are left");
    count = ~static_cast<std::uint64_t>(n) + 1;
    return true;
  }

  bool fail(std::string reason, error_code code = error_code::unreadable) {
    return site.refuse(code, std::move(reason));
  }
  bool truncated(std::size_t wanted) {
    return fail("the input ends: " + std::to_string(wanted) + " bytes expected, " + std::to_string(left()) +
                " are left");
  }

  fault site;

private:
  bool get_varint(std::uint64_t& z) {
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) return truncated(1);
      auto octet = static_cast<unsigned char>(*at_++);
      if (shift == 63 && octet > 1) return fail("a number longer than 64 bit");
      z |= static_cast<std::uint64_t>(octet & 0x7f) << shift;
      if (octet < 0x80) return true;
    }
    return fail("a number longer than 64 bit");
  }

  const char* at_;
  const char* end_;
  std::size_t size_;
};

}  // namespace horizons::avro
