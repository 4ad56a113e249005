#include "messages/text.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace horizons {

namespace {

/// Bytes of the well-formed sequence at `p` (Unicode 15, table 3-7), or 0.
std::size_t sequence_length(const unsigned char* p, std::size_t left) {
  const auto continues = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    return i < left && p[i] >= low && p[i] <= high;
  };
  const unsigned lead = p[0];
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const unsigned low = lead == 0xE0 ? 0xA0 : 0x80;   // no overlong forms
    const unsigned high = lead == 0xED ? 0x9F : 0xBF;  // no surrogates
    return continues(1, low, high) && continues(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const unsigned low = lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xF4 ? 0x8F : 0xBF;  // at most U+10FFFF
    return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

constexpr std::uint64_t high_bits = 0x8080808080808080u;
constexpr std::uint64_t low_bits = 0x0101010101010101u;

/// Whether the eight bytes at `p` are ASCII, and none of them NUL where that is refused.
template <bool refuse_nul>
bool are_plain(const unsigned char* p) {
  std::uint64_t word;
  std::memcpy(&word, p, 8);
  const bool has_nul = refuse_nul && ((word - low_bits) & ~word & high_bits) != 0;
  return (word & high_bits) == 0 && !has_nul;
}

/// Steps over the text eight plain bytes at a time; `refuse_nul` also stops at a NUL.
template <bool refuse_nul>
const unsigned char* first_fault(std::string_view text) {
  auto* p = reinterpret_cast<const unsigned char*>(text.data());
  auto* const end = p + text.size();
  while (p != end) {
    if (end - p >= 8) {
      if (are_plain<refuse_nul>(p)) {
        p += 8;
        continue;
      }
    } else if (text.size() >= 8 && are_plain<refuse_nul>(end - 8)) {
      return nullptr;
    }
    if (refuse_nul && *p == 0) return p;
    const std::size_t length = sequence_length(p, static_cast<std::size_t>(end - p));
    if (length == 0) return p;
    p += length;
  }
  return nullptr;
}

}  // namespace

bool is_utf8(std::string_view text) { return first_fault<false>(text) == nullptr; }

std::string_view text_fault(std::string_view text) {
  const unsigned char* fault = first_fault<true>(text);
  if (fault == nullptr) return {};
  return *fault == 0 ? "contains a NUL character" : "is not valid UTF-8";
}

std::string quote(std::string_view text, std::size_t bytes_max) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out = "\"";
  auto* p = reinterpret_cast<const unsigned char*>(text.data());
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = sequence_length(p + i, text.size() - i);
    if (i + (length == 0 ? 1 : length) > bytes_max) {
      out += "…";
      break;
    }
    if (length == 0 || p[i] < 0x20 || p[i] == 0x7F) {
      out += "\\x";
      out += digits[p[i] >> 4];
      out += digits[p[i] & 15];
      ++i;
    } else {
      out.append(text.substr(i, length));
      i += length;
    }
  }
  return out += '"';
}

std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-infinity" : "infinity";
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

bool is_name(std::string_view text) {
  enum kind : std::uint8_t { neither, inside, anywhere };
  static constexpr auto kinds = [] {
    std::array<kind, 256> table{};
    for (const char c : {'.', '_', '-'}) table[static_cast<unsigned char>(c)] = inside;
    for (char c = '0'; c <= '9'; ++c) table[static_cast<unsigned char>(c)] = anywhere;
    for (char c = 'A'; c <= 'Z'; ++c) table[static_cast<unsigned char>(c)] = anywhere;
    for (char c = 'a'; c <= 'z'; ++c) table[static_cast<unsigned char>(c)] = anywhere;
    return table;
  }();
  if (text.empty() || text.size() > 64 || kinds[static_cast<unsigned char>(text[0])] != anywhere) return false;
  bool all = true;
  for (const char c : text) all &= kinds[static_cast<unsigned char>(c)] != neither;
  return all;
}

}  // namespace horizons
