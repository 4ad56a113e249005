// What the two readers of reader.hpp share: one function per format, and the screening of samples.
#pragma once

#include <cmath>

#include "actors/observations/reader.hpp"

namespace horizons::observations {

result<imaging::observation> read_uvfits(const std::filesystem::path& path, const read_options& options,
                                         const std::stop_token& stop, const gpu::progress_sink& progress);
result<imaging::observation> read_measurement_set(const std::filesystem::path& path, const read_options& options,
                                                  const std::stop_token& stop, const gpu::progress_sink& progress);

/// No calibrated or raw correlator output comes near this; what exceeds it is a broken sample (uninitialised memory,
/// a wrong byte order) that would drown an image even with a tiny weight.
inline constexpr float absurd_jy = 1e9F;

/// Makes one sample safe to compute with, and counts. `flagged`: the file says so beside the weight.
inline void screen(imaging::observation& counts, std::complex<float>& vis, float& weight, bool flagged = false) {
  ++counts.samples_total;
  if (!std::isfinite(vis.real()) || !std::isfinite(vis.imag()) || !std::isfinite(weight)) {
    ++counts.samples_non_finite;
    vis = 0;
    weight = 0;
  } else if (flagged || !(weight > 0)) {
    ++counts.samples_flagged;
    weight = 0;  // the value stays: a flag may be wrong, and its own file keeps it too
  } else if (std::abs(vis.real()) > absurd_jy || std::abs(vis.imag()) > absurd_jy) {
    ++counts.samples_absurd;
    vis = 0;
    weight = 0;
  }
}

/// A number from a file as int: NaN (which std::clamp would let through) and what is too low become `low`.
inline int bounded_int(double value, int low, int high) {
  if (!(value > low)) return low;
  return value < high ? static_cast<int>(std::lround(value)) : high;
}

/// Memory that `rows` of `samples_per_row` need in an observation.
double observation_bytes(double rows, double samples_per_row);

/// limit_exceeded when an observation of that size does not fit options.memory_max_bytes.
result<void> check_memory(const std::filesystem::path& path, double rows, double samples_per_row,
                          const read_options& options);

}  // namespace horizons::observations
