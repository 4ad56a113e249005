// Simulates an observation of point sources whose truth is known: what the demo images and the tests measure against.
// Not simulated: primary beams, bandwidth and time smearing, the troposphere and ionosphere.
#pragma once

#include <array>
#include <complex>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "gpu/imaging/visibilities.hpp"
#include "gpu/progress.hpp"
#include "messages/result.hpp"
#include "messages/timestamp.hpp"

namespace horizons::observations {

/// What is not given follows the array, so that the default stays below 60,000 visibilities and 5 MB.
struct simulation_options {
  std::string array = "vla";        // small, vla, ngvla
  std::optional<int> integrations;  // spread evenly over four hours around transit
  std::optional<int> channels;      // share 64 MHz around 1.4 GHz
  std::optional<std::filesystem::path>
      sources;  // JSON [{"ra_deg", "dec_deg", "flux_jy"}] or lines "ra_deg dec_deg flux_jy"; else random ones
  std::optional<int> source_count;  // of random ones: 20, or 5 of the small array
  double noise_jy = 0.015;          // rms of real and of imaginary part, per visibility and polarisation
  double gain_error =
      0;  // rms of amplitude (fraction) and phase (radians), per antenna and polarisation, constant in time
  double rfi_rate = 0;  // fraction of (integration, channel) pairs hit, on all baselines
  std::uint64_t seed = 1;
  std::optional<double> ra_deg,
      dec_deg;                     // phase centre; default: the sources' middle, else the transit of `start`, dec 34
  std::optional<timestamp> start;  // default: such that the field transits in the middle, on 2026-01-01 UTC
};

struct simulated_source {
  double ra_deg = 0, dec_deg = 0, flux_jy = 0;
};

/// All baselines at one integration and channel; each baseline and polarisation has a phase of its own.
struct simulated_rfi {
  int integration = 0, channel = 0;
  double amplitude_jy = 0;
};

struct simulation_truth {
  std::string array, file;
  std::uint64_t seed = 0;
  double ra_deg = 0, dec_deg = 0, start_mjd = 0, duration_s = 0;
  std::size_t antennas = 0, integrations = 0, channels = 0, polarisations = 0,
              visibilities = 0;  // (row, channel) pairs
  double frequency_hz = 0, channel_width_hz = 0, baseline_max_m = 0;
  double beam_arcsec = 0;     // about: wavelength / longest baseline
  double noise_jy = 0;        // per visibility and polarisation
  double image_noise_jy = 0;  // of a naturally weighted Stokes I image
  double gain_error = 0, rfi_rate = 0;
  std::vector<simulated_source> sources;
  std::vector<std::array<std::complex<double>, 2>> gains;  // [antennas][RR, LL]; measured = g1 conj(g2) true
  std::vector<simulated_rfi> rfi;
};

struct simulation {
  imaging::observation observation;
  simulation_truth truth;
};

/// The pure part: the same options give the same visibilities on every machine. Errors: invalid_argument naming the
/// option; limit_exceeded beyond 100 million visibilities; cancelled.
result<simulation> simulate_observation(const simulation_options& options, const std::stop_token& stop = {},
                                        const gpu::progress_sink& progress = {});

/// Writes UVFITS to `out` and the truth to `<out>.truth.json`.
result<simulation_truth> simulate(const simulation_options& options, const std::filesystem::path& out,
                                  std::stop_token stop = {}, const gpu::progress_sink& progress = {});

/// Errors: not_found, unreadable with file and line, or entry, that is wrong.
result<std::vector<simulated_source>> read_source_list(const std::filesystem::path& path);

nlohmann::json to_json(const simulation_truth& truth);

/// The few numbers a person wants to see: array, antennas, sources, visibilities, beam, noise.
nlohmann::json simulate_summary(const simulation_truth& truth);

}  // namespace horizons::observations
