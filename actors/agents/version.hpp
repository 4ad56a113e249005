// Which software made a result.
#pragma once

#include <string_view>

#ifndef HORIZONS_VERSION
#define HORIZONS_VERSION "0.1.0"
#endif

namespace horizons {

inline constexpr std::string_view software_version = HORIZONS_VERSION;

}  // namespace horizons
