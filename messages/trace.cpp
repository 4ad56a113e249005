#include "messages/trace.hpp"

#include <cstring>
#include <random>

#include "messages/text.hpp"

namespace horizons {

namespace {

/// The value of a lower-case hexadecimal digit, or 255. A table: every event's traceparent is checked.
constexpr std::array<std::uint8_t, 256> hex_digits = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(255);
  for (std::uint8_t i = 0; i < 16; ++i) values[static_cast<unsigned char>("0123456789abcdef"[i])] = i;
  return values;
}();

/// Reads `out.size()` bytes of lower-case hexadecimal at `text[at]`.
template <std::size_t N>
bool read_hex(std::string_view text, std::size_t at, std::array<std::uint8_t, N>& out) {
  for (std::size_t i = 0; i < N; ++i) {
    const unsigned high = hex_digits[static_cast<unsigned char>(text[at + 2 * i])];
    const unsigned low = hex_digits[static_cast<unsigned char>(text[at + 2 * i + 1])];
    if ((high | low) > 15) return false;
    out[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return true;
}

template <std::size_t N>
void write_hex(std::string& out, const std::array<std::uint8_t, N>& bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  for (const std::uint8_t byte : bytes) {
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
}

/// Why `text` is refused, or null.
const char* read(std::string_view text, trace_context& out) {
  std::array<std::uint8_t, 1> version{}, flags{};
  if (text.size() < 55) return "too short";
  if (text[2] != '-' || text[35] != '-' || text[52] != '-') return "the parts are not separated by -";
  if (!read_hex(text, 0, version)) return "the version is not lower-case hexadecimal";
  if (version[0] == 0xFF) return "version ff is forbidden";
  if (version[0] == 0 && text.size() != 55) return "too long for version 00";
  if (text.size() > 55 && text[55] != '-') return "something follows the flags";
  if (!read_hex(text, 3, out.trace_id)) return "the trace id is not lower-case hexadecimal";
  if (!read_hex(text, 36, out.parent_id)) return "the parent id is not lower-case hexadecimal";
  if (!read_hex(text, 53, flags)) return "the flags are not lower-case hexadecimal";
  if (out.trace_id == decltype(out.trace_id){}) return "the trace id is all zero";
  if (out.parent_id == decltype(out.parent_id){}) return "the parent id is all zero";
  out.flags = flags[0];
  return nullptr;
}

template <std::size_t N>
requires(N % 8 == 0) void fill(std::array<std::uint8_t, N>& bytes) {
  thread_local std::mt19937_64 generator = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device(), device(), device(), device(), device()};
    return std::mt19937_64{seed};
  }();
  do {
    for (std::size_t i = 0; i < N; i += 8) {
      const std::uint64_t bits = generator();
      std::memcpy(bytes.data() + i, &bits, 8);
    }
  } while (bytes == std::array<std::uint8_t, N>{});
}

}  // namespace

std::string to_string(const trace_context& trace) {
  std::string out = "00-";
  out.reserve(55);
  write_hex(out, trace.trace_id);
  out += '-';
  write_hex(out, trace.parent_id);
  out += '-';
  write_hex(out, std::array{trace.flags});
  return out;
}

result<trace_context> parse_traceparent(std::string_view text) {
  trace_context trace;
  if (const char* reason = read(text, trace))
    return failure(error_code::invalid_argument,
                   quote(text) + " is not a traceparent: " + reason + "; expected 00-<32 hex>-<16 hex>-<2 hex>");
  return trace;
}

bool is_traceparent(std::string_view text) {
  trace_context trace;
  return read(text, trace) == nullptr;
}

trace_context new_trace() {
  trace_context trace;
  fill(trace.trace_id);
  fill(trace.parent_id);
  return trace;
}

trace_context child_of(const trace_context& parent) {
  trace_context child = parent;
  while (child.parent_id == parent.parent_id) fill(child.parent_id);
  child.flags &= 1;  // level 1 defines one flag; the others must be sent as zero
  return child;
}

std::string continue_trace(std::string_view parent) {
  trace_context trace;
  return to_string(read(parent, trace) == nullptr ? child_of(trace) : new_trace());
}

}  // namespace horizons
