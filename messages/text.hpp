// Texts as they may stand in messages: valid UTF-8 without NUL, and how a value is quoted in an error text.
// Nothing here knows a message or an encoding.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace horizons {

/// Whether `text` is well-formed UTF-8 (no surrogates, no overlong forms, at most U+10FFFF).
bool is_utf8(std::string_view text);

/// What is wrong with `text` as a field of a message, or empty: "is not valid UTF-8", "contains a NUL character"
/// (PostgreSQL stores neither).
std::string_view text_fault(std::string_view text);

/// `text` in quotes for an error message: control and invalid bytes as \xHH, cut after `bytes_max` bytes.
std::string quote(std::string_view text, std::size_t bytes_max = 64);

/// The shortest decimal text that reads back as `value`; "NaN", "infinity" or "-infinity" when not finite.
std::string number_text(double value);

/// Whether `text` matches [A-Za-z0-9][A-Za-z0-9._-]{0,63}: job ids, tenants, names of agents.
bool is_name(std::string_view text);

}  // namespace horizons
