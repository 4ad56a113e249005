// Writes JSON into a byte buffer: no intermediate tree, shortest exact numbers, keys as they come.
#pragma once

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "messages/codec/buffer.hpp"
#include "messages/timestamp.hpp"

namespace horizons::codec {

class json_writer {
public:
  explicit json_writer(byte_buffer& out) : out_(out) {}

  void null() { out_.put("null"); }
  void boolean(bool value) { out_.put(value ? std::string_view{"true"} : std::string_view{"false"}); }
  void integer(std::int64_t value) { number(value); }
  void natural(std::uint64_t value) { number(value); }

  /// Always with a point or an exponent, so that -0.0 and the kind of number survive; null when not finite.
  void real(double value) {
    if (!std::isfinite(value)) return null();
    char* const first = out_.room(40);
    char* last = std::to_chars(first, first + 32, value).ptr;
    bool whole = true;
    for (const char* p = first; p != last; ++p) whole = whole && *p != '.' && *p != 'e';
    if (whole) {
      *last++ = '.';
      *last++ = '0';
    }
    out_.advance(static_cast<std::size_t>(last - first));
  }

  void time(timestamp t) {
    const auto text = text_of(t);  // nothing to escape
    char* const p = out_.room(text.size() + 2);
    p[0] = '"';
    std::memcpy(p + 1, text.data(), text.size());
    p[text.size() + 1] = '"';
    out_.advance(text.size() + 2);
  }

  void text(std::string_view text) {
    char* p = out_.room(6 * text.size() + 2);  // \u0001 is the longest escape
    char* const first = p;
    *p++ = '"';
    const char* from = text.data();
    const char* const end = from + text.size();
    while (from != end) {
      for (std::uint64_t word; end - from >= 8; from += 8, p += 8) {
        std::memcpy(&word, from, 8);
        if (has_escape(word)) break;
        std::memcpy(p, &word, 8);
      }
      if (const auto left = end - from; left < 8 && text.size() >= 8) {  // the last eight, most of them once more
        std::uint64_t word;
        std::memcpy(&word, end - 8, 8);
        if (!has_escape(word)) {
          std::memcpy(p + left - 8, &word, 8);
          p += left;
          break;
        }
      }
      const char* run = from;
      while (run != end && escapes[static_cast<unsigned char>(*run)] == 0) ++run;
      const auto length = static_cast<std::size_t>(run - from);
      if (length != 0) std::memcpy(p, from, length);
      p += length;
      from = run;
      if (from == end) break;
      const auto byte = static_cast<unsigned char>(*from++);
      *p++ = '\\';
      *p++ = escapes[byte];
      if (escapes[byte] == 'u') {
        *p++ = '0';
        *p++ = '0';
        *p++ = byte < 16 ? '0' : '1';
        *p++ = "0123456789abcdef"[byte & 15];
      }
    }
    *p++ = '"';
    out_.advance(static_cast<std::size_t>(p - first));
  }

  void begin_map(std::size_t) { out_.put('{'); }
  void end_map() { out_.put('}'); }
  void begin_array(std::size_t) { out_.put('['); }
  void end_array() { out_.put(']'); }

  /// Before each element of a list. No value ends with an opening bracket, so the last byte tells whether it is first.
  void element() {
    if (out_.last() != '[') out_.put(',');
  }

  /// A described field's name: plain letters, never escaped.
  void key(std::string_view name) {
    char* p = out_.room(name.size() + 4);
    char* const first = p;
    if (out_.last() != '{') *p++ = ',';
    *p++ = '"';
    std::memcpy(p, name.data(), name.size());
    p += name.size();
    *p++ = '"';
    *p++ = ':';
    out_.advance(static_cast<std::size_t>(p - first));
  }

  /// A key of a free-form object.
  void free_key(std::string_view name) {
    if (out_.last() != '{') out_.put(',');
    text(name);
    out_.put(':');
  }

private:
  template <class Integer>
  void number(Integer value) {
    char* const first = out_.room(24);
    out_.advance(static_cast<std::size_t>(std::to_chars(first, first + 24, value).ptr - first));
  }

  /// Whether one of eight bytes does not stand for itself (Anderson, Bit Twiddling Hacks, "Determine if a word has a
  /// byte less than n").
  static constexpr bool has_escape(std::uint64_t word) {
    constexpr std::uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    const auto below = [](std::uint64_t x, std::uint64_t n) { return (x - ones * n) & ~x; };
    return ((below(word, 0x20) | below(word ^ ones * '"', 1) | below(word ^ ones * '\\', 1)) & tops) != 0;
  }

  /// 0: stands for itself; 'u': \u00XX; else the letter after the backslash.
  static constexpr std::array<char, 256> escapes = [] {
    std::array<char, 256> table{};
    for (std::size_t i = 0; i < 32; ++i) table[i] = 'u';
    table['\b'] = 'b';
    table['\f'] = 'f';
    table['\n'] = 'n';
    table['\r'] = 'r';
    table['\t'] = 't';
    table['"'] = '"';
    table['\\'] = '\\';
    return table;
  }();

  byte_buffer& out_;
};

}  // namespace horizons::codec
