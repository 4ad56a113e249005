// Headers that every bridge adds to a dead letter: the same names on every broker.
#pragma once

#include <string_view>

namespace horizons::bridges::letter_header {

inline constexpr std::string_view reason = "horizons-reason";  // dead_letter::reason
inline constexpr std::string_view attempts = "horizons-attempts";
inline constexpr std::string_view first_failed_at = "horizons-first-failed-at";  // RFC 3339, UTC
inline constexpr std::string_view last_failed_at = "horizons-last-failed-at";
inline constexpr std::string_view job_id = "horizons-job-id";

}  // namespace horizons::bridges::letter_header
