// W3C Trace Context, level 1: the traceparent header, read, made and continued. Nothing here records spans.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "messages/result.hpp"

namespace horizons {

/// One position in a distributed trace. Neither id is all zero.
struct trace_context {
  std::array<std::uint8_t, 16> trace_id{};
  std::array<std::uint8_t, 8> parent_id{};
  std::uint8_t flags = 1;  // bit 0: sampled

  friend bool operator==(const trace_context&, const trace_context&) = default;
};

/// "00-<32 hex>-<16 hex>-<2 hex>", lower case.
std::string to_string(const trace_context& trace);

/// Version 00 exactly; a higher version by its first four fields (the rest is ignored), "ff" never; ids of zeros
/// and upper-case digits are refused. w3.org/TR/trace-context-1, section 3.2.
result<trace_context> parse_traceparent(std::string_view text);

/// Whether parse_traceparent would read `text`, without making an error text.
bool is_traceparent(std::string_view text);

/// A fresh sampled trace with random ids.
trace_context new_trace();

/// The same trace and flags with a fresh parent id: what an outgoing message carries.
trace_context child_of(const trace_context& parent);

/// The traceparent for a message caused by one that carried `parent`: a child, or a new trace when `parent` is
/// empty or wrong (the specification restarts a broken trace rather than refusing the message).
std::string continue_trace(std::string_view parent);

}  // namespace horizons
