// Where the antennas of the arrays that can be simulated stand. Geometry only: no beams, no electronics.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gpu/imaging/visibilities.hpp"
#include "messages/result.hpp"

namespace horizons::observations {

struct array_layout {
  std::string name;                                          // small, vla, ngvla
  std::string telescope;                                     // as it appears in files
  double latitude_rad = 0, longitude_rad = 0, height_m = 0;  // of the centre, WGS84
  double diameter_m = 0;
  std::vector<imaging::antenna> antennas;

  double baseline_max_m() const;
};

/// - `vla`: 27 antennas, three arms at azimuths 355, 115 and 236 degrees, distances growing as n^1.716 (Chow 1972), at
/// the
///   scale of the B configuration: arms of 6.4, 6.4 and 5.8 km, baselines to 11 km.
/// - `ngvla`: 214 antennas of 18 m that resemble the ngVLA's main array (Selina et al. 2018): 94 in a core of 0.65 km
/// radius,
///   74 on five spiral arms to 18 km, 46 on their continuation to 500 km. An approximation made by rule, not the real
///   pads.
/// - `small`: 8 antennas of 12 m on an irregular Y with baselines to 3 km, for quick tests.
/// Errors: invalid_argument for another name.
result<array_layout> layout_named(std::string_view name);

}  // namespace horizons::observations
