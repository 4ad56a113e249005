// ULIDs: 128-bit identifiers that sort by time (48 bits of milliseconds, 80 random bits, 26 characters of
// Crockford base 32). github.com/ulid/spec.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "messages/timestamp.hpp"

namespace horizons {

/// A fresh ULID at `now`. Two of one thread in the same millisecond grow (monotonic within a thread).
std::string make_ulid(timestamp now);

/// A ULID from `now` and 80 bits given by the caller: for identifiers that must come out the same again.
std::string make_ulid(timestamp now, std::array<std::uint8_t, 10> random);

bool is_ulid(std::string_view text);

}  // namespace horizons
