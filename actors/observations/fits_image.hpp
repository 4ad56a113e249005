// Writes and reads images as FITS with a celestial WCS.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "gpu/imaging/beam.hpp"
#include "gpu/imaging/geometry.hpp"
#include "messages/result.hpp"

namespace horizons::observations {

struct fits_image_header {
  imaging::image_geometry geometry;
  double ra_rad = 0, dec_rad = 0;  // of pixel (nx/2, ny/2), ICRS/J2000, SIN projection
  double frequency_hz = 0, bandwidth_hz = 0;
  std::string stokes = "I";
  std::string unit = "JY/BEAM";
  std::string object_name, telescope, observer, date_obs;  // DATE-OBS as RFC 3339 without zone
  std::optional<imaging::gaussian_beam> restoring_beam;    // BMAJ, BMIN, BPA in degrees
  std::vector<std::string> history;
};

/// pixels [ny][nx] float; axes RA---SIN, DEC--SIN, FREQ, STOKES. Complete or absent (temporary name, fsync, rename);
/// absent and `cancelled` when `stop` is requested.
result<void> write_fits_image(const std::filesystem::path& path, const fits_image_header& header,
                              std::span<const float> pixels, const std::stop_token& stop = {});

struct fits_image {
  fits_image_header header;
  std::vector<float> pixels;
};
result<fits_image> read_fits_image(const std::filesystem::path& path);

}  // namespace horizons::observations
