// From visibilities to a cleaned image: weighting, dirty image, PSF, Cotton-Schwab major cycles over Hogbom minor
// cycles, restoring. No files, no actors.
//
// Fluxes are apparent, as the array sees them: a point source of S Jy peaks at S Jy/beam wherever it lies (no division
// by n), and nothing is corrected for the primary beam.
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "gpu/imaging/beam.hpp"
#include "gpu/imaging/clean.hpp"
#include "gpu/imaging/geometry.hpp"
#include "gpu/imaging/gridder.hpp"
#include "gpu/imaging/weighting.hpp"
#include "gpu/progress.hpp"
#include "messages/result.hpp"

namespace horizons::imaging {

/// One set of visibilities of one Stokes parameter.
struct stokes_block {
  std::vector<double> uvw;               // metres [rows][3]
  std::vector<double> frequency_hz;      // [channels]
  std::vector<std::complex<float>> vis;  // Jy [rows][channels]
  std::vector<float> weight;             // [rows][channels], 0 = flagged
  uv_coverage coverage() const { return {uvw, frequency_hz}; }
};

struct cycle_report {
  int major = 0;
  std::int64_t iterations = 0;  // minor iterations so far
  double peak_jy = 0;           // residual peak
  double rms_jy = 0;            // robust residual rms
};

/// Where CLEAN stands between two major cycles: all that the next one depends on. Pixels [ny][nx] are in the precision
/// of the run.
struct cleaning_state {
  std::vector<cycle_report> cycles;  // [0] is the dirty image; the last one is where it stands
  std::span<const std::byte> residual, model;
};

struct imaging_options {
  image_geometry geometry;
  weighting weights = weighting::briggs;
  double robust = 0;       // -2 (uniform) … 2 (natural)
  double accuracy = 1e-4;  // of gridding; below 2e-6 runs in double
  bool double_precision = false;
  bool w_terms = true;
  std::int64_t niter = 10'000;      // minor iterations in all; 0 = dirty image only
  double gain = 0.1;                // minor loop gain
  double mgain = 0.8;               // a major cycle ends when the peak fell by this share
  double threshold_jy = 0;          // stop at this residual peak (Jy/beam); 0 = none
  double auto_threshold_sigma = 3;  // stop at this multiple of the robust residual rms; 0 = none
  int major_cycles_max = 20;
  std::size_t border = 0;  // pixels along each edge where CLEAN puts no component
  std::size_t memory_max_bytes = std::size_t{16} << 30;

  /// Go on from here instead of the dirty image; pixels that do not fit the geometry and precision are refused.
  std::optional<cleaning_state> resume_from{};
  /// Called after every major cycle that is not the last.
  std::function<void(const cleaning_state&)> keep{};
};

/// Why CLEAN ended. `diverged`: the last major cycle made the residual worse and was taken back.
enum class cleaning_end { not_asked, threshold, iterations, major_cycles, stalled, diverged };
std::string_view to_string(cleaning_end end);

struct imaging_products {
  std::vector<float> image, residual, model,
      psf;             // [ny][nx]; Jy/beam, model Jy/pixel, psf peak 1; NaN beyond the horizon
  gaussian_beam beam;  // fitted to the PSF
  double weight_sum = 0;
  std::int64_t visibilities = 0;     // used samples
  std::int64_t outside = 0;          // unflagged samples beyond the image's uv grid, not used
  std::vector<cycle_report> cycles;  // [0] is the dirty image, then one after each major cycle
  cleaning_end end = cleaning_end::not_asked;
  double rms_jy = 0;  // robust, of the residual
  double grid_seconds = 0, degrid_seconds = 0, clean_seconds = 0, plan_seconds = 0;
  std::int64_t gridded = 0, degridded = 0;  // visibilities times passes, for rates
  gridding_plan plan;
};

/// Bytes that make_image needs at its peak beside its input, estimated: images, padded grid, per-sample work.
std::size_t imaging_memory_bytes(const imaging_options& options, std::size_t samples);

/// `progress` gets 0…1. Fails with invalid_argument (nothing unflagged, impossible geometry), limit_exceeded,
/// cancelled.
result<imaging_products> make_image(std::span<const stokes_block> blocks, const imaging_options& options,
                                    std::stop_token stop, const gpu::progress_sink& progress);

}  // namespace horizons::imaging
