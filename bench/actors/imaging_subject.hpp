// The observation that the imaging benchmark images, and how right an image of it is: against the direct transform of
// its visibilities, and against the truth it was simulated from. Times nothing but its own reading.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <filesystem>
#include <limits>
#include <numbers>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "actors/agents/stokes.hpp"
#include "actors/observations/fits_image.hpp"
#include "actors/observations/reader.hpp"
#include "actors/observations/simulate.hpp"
#include "bench/report.hpp"
#include "gpu/imaging/celestial.hpp"
#include "gpu/imaging/dft.hpp"
#include "gpu/imaging/statistics.hpp"
#include "tests/actors/observations/uvfits_to_ms.hpp"

namespace horizons::bench {

namespace fs = std::filesystem;

inline constexpr double degree = std::numbers::pi / 180, arcsec = degree / 3600;
inline constexpr std::size_t dft_side = 16;  // pixels along each axis that are checked by the direct transform

/// The value, or the end of the program by way of main, so that the temporary folder goes.
template <class T>
T must(result<T> r) {
  if (!r) throw std::runtime_error(r.error().text);
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}

class temporary_folder {
public:
  temporary_folder() : path_(fs::temp_directory_path() / ("bench-imaging-" + std::to_string(::getpid()))) {
    fs::create_directories(path_);
  }
  ~temporary_folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  fs::path operator/(const std::string& name) const { return path_ / name; }

private:
  fs::path path_;
};

// -- the data -------------------------------------------------------------------------------------------------------

/// What is imaged, as a file and in memory.
struct subject {
  observations::simulation_truth truth;
  fs::path measurement_set;
  agents::stokes_selection selection;
  imaging::image_geometry image;
  double cell_arcsec = 0, read_seconds = 0;

  const imaging::stokes_block& block() const { return selection.blocks[0]; }
  double mega() const { return static_cast<double>(selection.samples) / 1e6; }
  double weight_sum() const {
    double sum = 0;
    for (const float w : block().weight) sum += static_cast<double>(w);
    return sum;
  }
};

/// Simulated with the VLA: `size` pixels along each axis, a multiple of 2 dft_side.
inline subject make_subject(int integrations, int channels, std::size_t size, const temporary_folder& folder) {
  subject s;
  observations::simulation_options options;
  options.integrations = integrations;
  options.channels = channels;
  s.truth = must(observations::simulate(options, folder / "bench.uvfits"));
  s.measurement_set = folder / "bench.ms";
  if (const auto problem = observations::uvfits_to_ms(folder / "bench.uvfits", s.measurement_set); !problem.empty())
    must<void>(failure(error_code::io, "casacore cannot convert the simulated UVFITS: " + problem));
  fs::remove(folder / "bench.uvfits");
  s.read_seconds = seconds_of([&] {
    const auto observation = must(observations::read_observation(s.measurement_set));
    s.selection = must(agents::select_stokes(observation, {}));
  });
  if (s.selection.blocks.size() != 1)
    must<void>(failure(error_code::internal, "expected the simulation as one block of visibilities"));
  s.cell_arcsec = std::floor(s.truth.beam_arcsec / 4 * 10) / 10;
  s.image = {size, size, -s.cell_arcsec * arcsec, s.cell_arcsec * arcsec};
  return s;
}

// -- accuracy -------------------------------------------------------------------------------------------------------

/// The pixels of a coarse grid that spans the whole image: an image whose cells are `stride` as large. Those on the
/// very edge are left out: gridding errors rise steeply in the last few pixels, and here each would stand for `stride`.
struct pixel_sample {
  std::size_t stride;
  std::vector<double> exact;  // Jy/beam, naturally weighted, by the direct transform in double precision

  explicit pixel_sample(const subject& s) : stride(s.image.nx / dft_side) {
    auto coarse = s.image;
    coarse.nx = coarse.ny = dft_side;
    coarse.cell_x *= static_cast<double>(stride);
    coarse.cell_y *= static_cast<double>(stride);
    const auto& b = s.block();
    const std::vector<std::complex<double>> vis(b.vis.begin(), b.vis.end());
    const std::vector<double> weight(b.weight.begin(), b.weight.end());
    exact = imaging::dft_grid(coarse, b.coverage(), vis, weight);
    for (auto& value : exact) value /= s.weight_sum();
  }

  /// Relative rms of `image` [ny][nx] times `scale` against the direct transform. Both programs leave out the factor
  /// 1/n (tried with wsclean: at half a degree from the centre its error doubles with any other convention).
  double error_of(const std::vector<float>& image, std::size_t nx, double scale) const {
    double wrong = 0, all = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
      if (i / dft_side == 0 || i % dft_side == 0) continue;
      const double value = scale * image[(i / dft_side) * stride * nx + (i % dft_side) * stride];
      wrong += (value - exact[i]) * (value - exact[i]);
      all += exact[i] * exact[i];
    }
    return std::sqrt(wrong / all);
  }
};

// -- what the images hold -------------------------------------------------------------------------------------------

struct image_quality {
  double residual_rms = 0, residual_peak = 0;                // Jy/beam; rms robust
  double position_error_arcsec = 0, flux_error_percent = 0;  // of the brightest source
};

/// The top of a Gaussian through three equidistant values, from the middle one: offset in steps, and height.
inline std::pair<double, double> top_of(double before, double middle, double after) {
  if (!(before > 0 && after > 0)) return {0, middle};
  const double a = std::log(before), b = std::log(middle), c = std::log(after);
  const double bend = a - 2 * b + c, slope = (c - a) / 2;
  if (!(bend < 0)) return {0, middle};
  return {-slope / bend, std::exp(b - slope * slope / (2 * bend))};
}

/// Of files that either program wrote.
inline image_quality quality_of(const subject& s, const fs::path& image_file, const fs::path& residual_file) {
  const auto image = must(observations::read_fits_image(image_file)).pixels;
  const auto residual = must(observations::read_fits_image(residual_file)).pixels;
  image_quality q;
  q.residual_rms = imaging::robust_of(std::span<const float>(residual)).rms;
  for (const float value : residual) q.residual_peak = std::max(q.residual_peak, static_cast<double>(std::abs(value)));

  const auto& brightest = *std::max_element(s.truth.sources.begin(), s.truth.sources.end(),
                                            [](auto& a, auto& b) { return a.flux_jy < b.flux_jy; });
  const auto at = imaging::project({brightest.ra_deg * degree, brightest.dec_deg * degree},
                                   {s.truth.ra_deg * degree, s.truth.dec_deg * degree});
  const std::size_t nx = s.image.nx;
  const double x_true = static_cast<double>(nx / 2) + at.l / s.image.cell_x;
  const double y_true = static_cast<double>(s.image.ny / 2) + at.m / s.image.cell_y;
  constexpr int reach = 8;  // pixels, two beams
  double peak = -std::numeric_limits<double>::infinity();
  std::size_t x = 0, y = 0;
  for (int dy = -reach; dy <= reach; ++dy)
    for (int dx = -reach; dx <= reach; ++dx) {
      const auto px = static_cast<std::size_t>(std::clamp(std::lround(x_true) + dx, 1L, static_cast<long>(nx) - 2));
      const auto py = static_cast<std::size_t>(std::clamp(std::lround(y_true) + dy, 1L, static_cast<long>(nx) - 2));
      if (image[py * nx + px] > peak) peak = image[py * nx + px], x = px, y = py;
    }
  const float* p = image.data() + y * nx + x;
  const auto row_stride = static_cast<std::ptrdiff_t>(nx);
  const auto [dx, height_x] = top_of(p[-1], p[0], p[1]);
  const auto [dy, height_y] = top_of(p[-row_stride], p[0], p[row_stride]);
  q.position_error_arcsec =
      s.cell_arcsec * std::hypot(static_cast<double>(x) + dx - x_true, static_cast<double>(y) + dy - y_true);
  q.flux_error_percent = 100 * std::abs((height_x * height_y / p[0]) / brightest.flux_jy - 1);
  return q;
}

}  // namespace horizons::bench
