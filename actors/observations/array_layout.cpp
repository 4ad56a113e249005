#include "actors/observations/array_layout.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace horizons::observations {

namespace {

constexpr double degree = std::numbers::pi / 180;
constexpr double earth_radius_m = 6371000;  // mean: only spreads stations over the curved ground

/// Geodetic to geocentric coordinates, WGS84.
imaging::antenna at_geodetic(std::string name, double latitude, double longitude, double height, double diameter) {
  constexpr double a = 6378137, flattening = 1 / 298.257223563, e2 = flattening * (2 - flattening);
  const double s = std::sin(latitude), n = a / std::sqrt(1 - e2 * s * s);
  return {std::move(name), (n + height) * std::cos(latitude) * std::cos(longitude),
          (n + height) * std::cos(latitude) * std::sin(longitude), (n * (1 - e2) + height) * s, diameter};
}

/// Adds a station at `distance` along the ground from the centre; azimuth from north through east.
void add(array_layout& layout, double distance, double azimuth, std::string name) {
  const double arc = distance / earth_radius_m, latitude = layout.latitude_rad;
  const double sine = std::sin(latitude) * std::cos(arc) + std::cos(latitude) * std::sin(arc) * std::cos(azimuth);
  const double east =
      std::atan2(std::sin(azimuth) * std::sin(arc) * std::cos(latitude), std::cos(arc) - std::sin(latitude) * sine);
  layout.antennas.push_back(
      at_geodetic(std::move(name), std::asin(sine), layout.longitude_rad + east, layout.height_m, layout.diameter_m));
}

array_layout very_large_array() {
  array_layout layout{"vla", "VLA", 34.078749 * degree, -107.617728 * degree, 2124, 25, {}};
  struct arm {
    char letter;
    double azimuth_deg, length_m;
  };
  for (const arm& a : {arm{'W', 236, 6400}, arm{'E', 115, 6400}, arm{'N', 355, 5800}})
    for (int n = 1; n <= 9; ++n)
      add(layout, a.length_m * std::pow(n / 9.0, 1.716), a.azimuth_deg * degree,
          a.letter + std::to_string(4 * n));  // B uses every fourth pad
  return layout;
}

array_layout next_generation() {
  array_layout layout{"ngvla", "ngVLA", 34.078749 * degree, -107.617728 * degree, 2124, 18, {}};
  constexpr int core = 94, spiral = 74, outer = 46, arms = 5;
  const double golden =
      std::numbers::pi * (3 - std::sqrt(5.0));  // a sunflower's angle: even density, no repeated baseline
  for (int i = 0; i < core; ++i)
    add(layout, 650 * std::sqrt((i + 0.5) / core), i * golden, "c" + std::to_string(i + 1));
  auto along_arms = [&](int count, double from, double to, char letter) {
    for (int i = 0; i < count; ++i) {
      const double distance = from * std::pow(to / from, (i + 0.5) / count);  // logarithmic: all scales alike
      const double azimuth = (i % arms) * 2 * std::numbers::pi / arms + 0.9 * std::log(distance / 650);
      add(layout, distance, azimuth, letter + std::to_string(i + 1));
    }
  };
  along_arms(spiral, 700, 18'000, 's');
  along_arms(outer, 18'000, 500'000, 'm');
  return layout;
}

array_layout small_array() {
  array_layout layout{"small", "SMALL", 34.078749 * degree, -107.617728 * degree, 2124, 12, {}};
  constexpr std::array<double, 8> distance = {60, 170, 330, 560, 840, 1170, 1500, 1750};
  for (std::size_t i = 0; i < distance.size(); ++i)  // unequal angles: no two baselines repeat each other
    add(layout, distance[i], (static_cast<double>(i) * 120 + static_cast<double>(i * i) * 3) * degree,
        "S" + std::to_string(i + 1));
  return layout;
}

}  // namespace

double array_layout::baseline_max_m() const {
  double longest = 0;
  for (const auto& a : antennas)
    for (const auto& b : antennas) longest = std::max(longest, std::hypot(a.x_m - b.x_m, a.y_m - b.y_m, a.z_m - b.z_m));
  return longest;
}

result<array_layout> layout_named(std::string_view name) {
  if (name == "vla") return very_large_array();
  if (name == "ngvla") return next_generation();
  if (name == "small") return small_array();
  return failure(error_code::invalid_argument, "array = '" + std::string(name) + "'; expected small, vla or ngvla");
}

}  // namespace horizons::observations
