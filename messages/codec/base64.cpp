#include "messages/codec/base64.hpp"

#include <array>
#include <cstdint>

#include "messages/text.hpp"

namespace horizons::codec {

namespace {

constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr auto values = [] {
  std::array<std::int8_t, 256> table{};
  table.fill(-1);
  for (std::size_t i = 0; i < letters.size(); ++i)
    table[static_cast<unsigned char>(letters[i])] = static_cast<std::int8_t>(i);
  return table;
}();

}  // namespace

std::string to_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = bytes.size() - i < 3 ? bytes.size() - i : 3;
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k) out += k <= count ? letters[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

result<std::string> from_base64(std::string_view text) {
  const auto refused = [&] {
    return failure(error_code::unreadable, quote(text) + " is not base64 (RFC 4648, padded)");
  };
  if (text.size() % 4 != 0) return refused();
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::size_t count = 3;
    if (i + 4 == text.size() && text[i + 3] == '=') count = text[i + 2] == '=' ? 1 : 2;
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const std::int8_t value = k <= count ? values[static_cast<unsigned char>(text[i + k])] : std::int8_t{0};
      if (value < 0) return refused();
      group = group << 6 | static_cast<std::uint32_t>(value);
    }
    if (count < 3 && (group & (0xFFFFFFu >> (8 * count))) != 0) return refused();
    for (std::size_t k = 0; k < count; ++k) out += static_cast<char>(group >> (16 - 8 * k));
  }
  return out;
}

}  // namespace horizons::codec
