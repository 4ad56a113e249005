// Finds sources in a restored image: a robust noise map, islands of bright pixels, elliptical Gaussians fitted to them.
// Made for compact sources; an island too large or too crowded to fit is reported with its sum and no fitted shape.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include "gpu/imaging/beam.hpp"
#include "gpu/imaging/celestial.hpp"
#include "gpu/imaging/geometry.hpp"
#include "messages/result.hpp"

namespace horizons::imaging {

struct finder_options {
  double seed_sigma = 5;             // an island needs one pixel this high
  double flood_sigma = 4;            // and grows to this level (8-connected)
  std::size_t sources_max = 10'000;  // brightest islands first; more are only counted
  std::size_t components_per_island_max = 5;
};

struct found_source {
  direction position;
  double ra_error_rad = 0, dec_error_rad = 0;  // of the direction, cos(dec) included in ra
  double x = 0, y = 0;                         // pixel, 0-based
  double peak_jy = 0, peak_error_jy = 0;       // Jy/beam
  double flux_jy = 0, flux_error_jy = 0;       // integrated; of an unresolved source that of a beam-shaped fit
  gaussian_beam shape;                         // as fitted: the restoring beam where unresolved
  gaussian_beam deconvolved;                   // widths 0 where unresolved
  bool resolved = false;
  bool fitted = true;  // false: island sum and peak pixel, errors without fit
  double rms_jy = 0;   // local noise
  int island = 0;      // number of its island, from 0
};

struct found_sources {
  std::vector<found_source> sources;  // brightest first
  std::int64_t islands = 0;           // all, those beyond sources_max included
  std::int64_t negative_islands = 0;  // the same search on the negated image: how many of `islands` may be false
  double rms_jy = 0;                  // median of the noise map
};

/// The noise map: robust rms in boxes of about 20 beams (at least 64 pixels) on a grid of half their size, interpolated
/// linearly; one value for the whole of an image smaller than four boxes. 0 nowhere unless the image is constant.
/// Unfinished when `stop` is requested.
std::vector<float> noise_map(std::span<const float> image, const image_geometry& g, const gaussian_beam& beam,
                             const std::stop_token& stop = {});

/// `image` [ny][nx] Jy/beam, NaN = blank. Errors of positions and fluxes: Condon 1997 (PASP 109, 166), eq. 21 and 41
/// with the beam as the noise's correlation length; no calibration error is added. Fails with invalid_argument when the
/// image does not match its geometry, or with cancelled.
result<found_sources> find_sources(std::span<const float> image, const image_geometry& g, const gaussian_beam& beam,
                                   const direction& centre, const finder_options& options = {},
                                   std::stop_token stop = {});

}  // namespace horizons::imaging
