#include "gpu/imaging/dft.hpp"

#include <cmath>
#include <numbers>

#include "gpu/parallel.hpp"

namespace horizons::imaging {
namespace {

constexpr double speed_of_light_m_s = 299'792'458.0;

/// One sample's coordinates in wavelengths.
struct point {
  double u, v, w;
};

point coordinates(const uv_coverage& coverage, std::size_t sample) {
  const std::size_t row = sample / coverage.channels();
  const double scale = coverage.frequency_hz[sample % coverage.channels()] / speed_of_light_m_s;
  return {coverage.uvw[3 * row] * scale, coverage.uvw[3 * row + 1] * scale, coverage.uvw[3 * row + 2] * scale};
}

/// exp(sign 2 pi i (u l + v m + w (n - 1))); zero beyond the horizon.
std::complex<double> fringe(const point& p, double l, double m, double sign) {
  const double r2 = l * l + m * m;
  if (r2 >= 1) return 0;
  const double n_minus_1 = -r2 / (1 + std::sqrt(1 - r2));  // sqrt(1 - r2) - 1 without cancellation
  const double turns = p.u * l + p.v * m + p.w * n_minus_1;
  return std::polar(1.0, sign * 2 * std::numbers::pi * (turns - std::round(turns)));
}

double l_of(const image_geometry& image, std::size_t pixel) {
  return (static_cast<double>(pixel % image.nx) - static_cast<double>(image.nx / 2)) * image.cell_x;
}

double m_of(const image_geometry& image, std::size_t pixel) {
  return (static_cast<double>(pixel / image.nx) - static_cast<double>(image.ny / 2)) * image.cell_y;
}

}  // namespace

std::vector<double> dft_grid(const image_geometry& image, const uv_coverage& coverage,
                             std::span<const std::complex<double>> vis, std::span<const double> weight) {
  std::vector<double> dirty(image.pixels());
  gpu::parallel_for(image.pixels(), 16, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t pixel = begin; pixel < end; ++pixel)
      for (std::size_t s = 0; s < coverage.samples(); ++s) {
        const auto wave = fringe(coordinates(coverage, s), l_of(image, pixel), m_of(image, pixel), +1);
        dirty[pixel] += (weight.empty() ? 1.0 : weight[s]) * (vis[s] * wave).real();
      }
  });
  return dirty;
}

std::vector<std::complex<double>> dft_degrid(const image_geometry& image, const uv_coverage& coverage,
                                             std::span<const double> pixels) {
  std::vector<std::complex<double>> vis(coverage.samples());
  gpu::parallel_for(coverage.samples(), 16, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t s = begin; s < end; ++s)
      for (std::size_t pixel = 0; pixel < image.pixels(); ++pixel)
        vis[s] += pixels[pixel] * fringe(coordinates(coverage, s), l_of(image, pixel), m_of(image, pixel), -1);
  });
  return vis;
}

std::vector<std::complex<double>> dft_point_sources(const uv_coverage& coverage, std::span<const double> flux_jy,
                                                    std::span<const double> l, std::span<const double> m) {
  std::vector<std::complex<double>> vis(coverage.samples());
  gpu::parallel_for(coverage.samples(), 256, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t s = begin; s < end; ++s)
      for (std::size_t i = 0; i < flux_jy.size(); ++i)
        vis[s] += flux_jy[i] * fringe(coordinates(coverage, s), l[i], m[i], -1);
  });
  return vis;
}

}  // namespace horizons::imaging
