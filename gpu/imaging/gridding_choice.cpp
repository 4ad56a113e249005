#include "gpu/imaging/gridding_choice.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "gpu/imaging/fft.hpp"
#include "gpu/imaging/gridder_kernels.hpp"

namespace horizons::imaging {
namespace {

// Costs in nanoseconds of one core, fitted on an AVX-512 machine at 4 GHz (bench/gpu/gridding_bench.cpp); only their
// ratios matter.
constexpr double fft_ns_per_point = 0.17;    // times log2 of the points
constexpr double plane_ns_per_point = 0.8;   // clearing and gathering
constexpr double screen_ns_per_pixel = 1.5;  // w-screen of one plane
constexpr double sample_ns = 12;             // coordinates, phase and kernel values
constexpr double row_ns = 0.45;              // one row of a kernel's cells in one register

double cost_ns(const gridding_problem& p, const gridding_choice& c) {
  const double points = static_cast<double>(c.grid_nx) * static_cast<double>(c.grid_ny);
  const double wide = static_cast<double>(p.real_bytes) / 4;
  // Rows without samples and columns outside the image are not transformed: about half of the work for sigma = 2.
  const double transformed = (0.8 + 1 / c.oversampling) / 2;
  const double plane = points * (fft_ns_per_point * std::log2(points) * transformed + plane_ns_per_point) +
                       static_cast<double>(p.image.pixels()) * screen_ns_per_pixel;
  const double w = c.shape.support;
  const double registers = std::ceil(2 * w * static_cast<double>(p.real_bytes) / 64);
  const double rows = p.w_terms ? w * w : w;
  return static_cast<double>(c.w_planes) * plane * wide + p.samples * (sample_ns * wide + rows * registers * row_ns);
}

/// Planes held at once: a sample spreads over `support` of them.
double memory(const gridding_problem& p, const gridding_choice& c) {
  const double held = static_cast<double>(std::min<std::size_t>(c.w_planes, p.w_terms ? c.shape.support : 1));
  return held * static_cast<double>(c.grid_nx) * static_cast<double>(c.grid_ny) * 2.0 *
         static_cast<double>(p.real_bytes);
}

}  // namespace

gridding_choice choose(const gridding_problem& p) {
  // Aliasing along u, v and w adds in quadrature.
  const double error_max = p.accuracy / std::sqrt(p.w_terms ? 3.0 : 2.0);
  gridding_choice best;
  double best_cost = 0;
  for (int percent = 120; percent <= 220; percent += 10) {
    gridding_choice c;
    const auto padded = [&](std::size_t n) {
      const auto wanted = static_cast<std::size_t>(std::ceil(static_cast<double>(n) * percent / 100));
      // Two tiles at least: positions relative to a tile are told apart by half a grid.
      return good_size(std::max<std::size_t>(wanted, 2 * tile_cells), tile_cells);
    };
    c.grid_nx = padded(p.image.nx);
    c.grid_ny = padded(p.image.ny);
    c.oversampling = std::min(static_cast<double>(c.grid_nx) / static_cast<double>(p.image.nx),
                              static_cast<double>(c.grid_ny) / static_cast<double>(p.image.ny));
    // No kernel of this kind beats exp(-pi W sqrt(1 - 1 / sigma)): shorter ones need not be tried.
    const double decay = std::numbers::pi * std::sqrt(1 - 1 / std::min(c.oversampling, 4.0));
    const int least = std::max(kernel_support_min, static_cast<int>(std::log(1 / error_max) / decay));
    for (int support = least; support <= p.support_max && c.shape.support == 0; ++support)
      if (const auto shape = best_shape(support, c.oversampling); shape.error <= error_max) c.shape = shape;
    if (c.shape.support == 0) continue;
    if (p.w_terms) {
      c.planes_per_w = 2 * std::min(c.oversampling, 4.0) * p.n_half;
      c.w_planes = static_cast<std::size_t>(std::min(1e9, std::ceil(p.w_extent * c.planes_per_w))) + 1 +
                   static_cast<std::size_t>(c.shape.support);
    }
    c.memory_bytes = memory(p, c);
    c.fits = c.memory_bytes <= p.memory_max_bytes;
    const double cost = c.fits ? cost_ns(p, c) : c.memory_bytes;
    const bool better = best.shape.support == 0 || (c.fits && !best.fits) || (c.fits == best.fits && cost < best_cost);
    if (better) {
      best = c;
      best_cost = cost;
    }
  }
  return best;
}

}  // namespace horizons::imaging
