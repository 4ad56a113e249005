// An observation in memory, as the readers deliver it and imaging, calibration and flagging take it. Plain data.
#pragma once

#include <complex>
#include <cstdint>
#include <string>
#include <vector>

#include "gpu/imaging/geometry.hpp"

namespace horizons::imaging {

/// FITS Stokes codes: 1…4 I Q U V, -1…-4 RR LL RL LR, -5…-8 XX YY XY YX.
enum class polarisation : int {
  I = 1,
  Q = 2,
  U = 3,
  V = 4,
  RR = -1,
  LL = -2,
  RL = -3,
  LR = -4,
  XX = -5,
  YY = -6,
  XY = -7,
  YX = -8
};

/// Rows that share one set of channels: all IFs of a UVFITS file, or one spectral window of a Measurement Set.
struct visibility_block {
  std::vector<double> frequency_hz;         // [channels], centres
  std::vector<double> channel_width_hz;     // [channels]
  std::vector<int> spw;                     // [channels] which spectral window (UVFITS: IF) a channel belongs to
  std::vector<polarisation> polarisations;  // [polarisations]

  std::vector<double> uvw;             // metres [rows][3], convention of uv_coverage
  std::vector<double> time_mjd_s;      // [rows] UTC, seconds since MJD 0, mid-integration
  std::vector<float> integration_s;    // [rows]
  std::vector<std::int32_t> antenna1;  // [rows] index into observation::antennas
  std::vector<std::int32_t> antenna2;
  std::vector<std::int32_t> field;  // [rows] index into observation::fields

  std::vector<std::complex<float>> vis;  // Jy [rows][channels][polarisations]
  std::vector<float> weight;             // same shape; 0 = flagged, never negative

  std::size_t rows() const { return time_mjd_s.size(); }
  std::size_t channels() const { return frequency_hz.size(); }
  uv_coverage coverage() const { return {uvw, frequency_hz}; }
};

struct antenna {
  std::string name;
  double x_m = 0, y_m = 0, z_m = 0;  // geocentric (ITRF)
  double diameter_m = 0;             // 0: unknown
};

struct field {
  std::string name;
  double ra_rad = 0, dec_rad = 0;  // phase centre, ICRS/J2000
};

struct observation {
  std::string telescope, observer, object_name;
  std::vector<antenna> antennas;
  std::vector<field> fields;
  std::vector<visibility_block> blocks;

  /// What the reader dropped or changed on the way in, for the report.
  std::int64_t samples_total = 0;         // polarisation samples read
  std::int64_t samples_flagged = 0;       // weight <= 0 or FLAG set in the file
  std::int64_t samples_non_finite = 0;    // NaN or infinite, weight set to 0
  std::int64_t samples_absurd = 0;        // |vis| > 1e9 Jy, weight set to 0
  std::int64_t rows_autocorrelation = 0;  // dropped: an antenna with itself measures no structure
  std::int64_t rows_unusable = 0;         // dropped: uvw or time not finite
};

}  // namespace horizons::imaging
