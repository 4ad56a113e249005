// Values of query parameters: read, bounded, refused with what would be right.
#pragma once

#include <optional>
#include <string>

#include "gateways/http/request.hpp"

namespace horizons::http {

/// The whole number `name` of the query, or `otherwise` when absent.
result<std::uint64_t> number_of(const request& r, const std::string& name, std::uint64_t otherwise, std::uint64_t low,
                                std::uint64_t high);

/// A time: RFC 3339, or a bare date, which is 00:00 UTC (as an end: the end of that day). Nothing when absent.
result<std::optional<timestamp>> time_of(const request& r, const std::string& name, bool is_end);

/// The text `name` of the query, or empty.
std::string text_of(const request& r, const std::string& name);

/// The event type `name` of the query, or empty; an unknown one is refused.
result<std::string> event_type_of(const request& r, const std::string& name);

}  // namespace horizons::http
