// Which spectral windows and channels to take, in CASA's notation: "0", "0,2", "0~3", "0:3~10", "0:3~10;12,1:5".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "messages/events.hpp"
#include "messages/result.hpp"

namespace horizons::agents {

struct index_range {
  int first = 0, last = 0;  // both included
  friend bool operator==(const index_range&, const index_range&) = default;
};

/// Empty means everything.
struct index_set {
  std::vector<index_range> ranges;
  bool contains(int i) const;
  friend bool operator==(const index_set&, const index_set&) = default;
};

struct spw_choice {
  index_set windows, channels;
  friend bool operator==(const spw_choice&, const spw_choice&) = default;
};

/// Spectral windows with channels of their own each. Empty means everything.
struct spw_selection {
  std::vector<spw_choice> choices;
  bool contains(int spw, int channel) const;
  bool names(int spw) const;
  friend bool operator==(const spw_selection&, const spw_selection&) = default;
};

/// A number, a list of numbers, or text like "0,2~4:3~10;12". `name` is the parameter, for the error.
result<spw_selection> parse_spw(std::string_view name, const json& value);

/// A number, a list of numbers, or text like "3~10,12" (";" separates too).
result<index_set> parse_indices(std::string_view name, const json& value);

}  // namespace horizons::agents
