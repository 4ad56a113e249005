// Points in time as they appear in events: UTC, milliseconds.
#pragma once

#include <array>
#include <chrono>
#include <string>
#include <string_view>

#include "messages/result.hpp"

namespace horizons {

using timestamp = std::chrono::sys_time<std::chrono::milliseconds>;

/// RFC 3339 in UTC with milliseconds: "2026-11-21T08:15:30.123Z".
using timestamp_text = std::array<char, 24>;
timestamp_text text_of(timestamp t);
std::string to_string(timestamp t);

/// RFC 3339 with a zone (`Z` or an offset); fractions beyond milliseconds are cut off. Years 1970 to 9999.
/// Errors name the text and what would be right.
result<timestamp> parse_timestamp(std::string_view text);

}  // namespace horizons
