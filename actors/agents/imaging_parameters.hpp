// What a user may ask of imaging: names, limits, defaults, and what the data make of those left open.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "actors/agents/selection.hpp"
#include "gpu/imaging/imager.hpp"
#include "messages/events.hpp"
#include "messages/result.hpp"

namespace horizons::agents {

enum class numeric_precision { automatic, single_, double_ };

/// Optional members are taken from the data when absent.
struct imaging_parameters {
  std::optional<std::array<std::size_t, 2>> size;  // pixels
  std::optional<double> cell_arcsec;
  imaging::weighting weighting = imaging::weighting::briggs;
  double robust = 0;
  double accuracy = 1e-4;
  numeric_precision precision = numeric_precision::automatic;
  std::int64_t niter = 10'000;
  double gain = 0.1;
  double mgain = 0.8;
  double threshold_jy = 0;
  double auto_threshold_sigma = 3;
  std::optional<std::string> stokes;
  std::variant<std::monostate, int, std::string> field;
  spw_selection spw;
  index_set channels;
};

/// JSON Schema (draft 2020-12) of the above.
json imaging_schema();

/// Fails with invalid_argument naming the parameter, its value and what would be right.
result<imaging_parameters> parse_imaging_parameters(const json& params);

/// As used, for reports: every parameter with its value.
json describe_parameters(const imaging_parameters& p, const imaging::image_geometry& g, const std::string& stokes,
                         const std::string& field, const json& given);

/// What of an observation decides a sensible image.
struct imaging_extent {
  double uv_wavelengths_max = 0;  // longest projected baseline used
  double frequency_hz = 0;        // mean
  double channel_width_hz = 0;    // widest
  double integration_s = 0;       // longest
  double dish_diameter_m = 0;     // smallest
};

/// Cell: a quarter of 1/uv_max, rounded down to two digits. Size: 1.2 widths of the primary beam (1.2 lambda / D), but
/// not beyond where averaging in time or frequency smears by a beam; 256 to 4096 pixels, FFT-friendly. What the user
/// gave stays.
imaging::image_geometry default_geometry(const imaging_parameters& p, const imaging_extent& e);

/// The smallest even number >= n whose only prime factors are 2, 3, 5 and 7.
std::size_t fft_friendly(std::size_t n);

/// Metres; for telescopes whose data do not say. 25 m where the name is unknown.
double usual_dish_diameter_m(const std::string& telescope);

}  // namespace horizons::agents
