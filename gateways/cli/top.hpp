// `horizons top` as text: two readings of GET /api/actors become one table. Pure: no clock, terminal or network.
#pragma once

#include <string>

#include "messages/events.hpp"

namespace horizons::cli {

/// `now` with "rate_per_s" in every actor: messages handled since `before` (the same list, read earlier); 0 where it
/// was not listed. Busiest first: longest mailbox, then highest rate, then longest handler.
json with_rates(const json& before, json now);

/// The table of `rated` (as with_rates returns it): at most `rows_max` actors; the last line says what is left out.
std::string draw_top(const json& rated, std::size_t rows_max);

}  // namespace horizons::cli
