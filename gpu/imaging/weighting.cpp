#include "gpu/imaging/weighting.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "gpu/parallel.hpp"

namespace horizons::imaging {
namespace {

constexpr double speed_of_light = 299'792'458.0;   // m/s
constexpr std::size_t samples_per_poll = 1 << 20;  // some 10 ms
constexpr std::size_t nowhere = std::numeric_limits<std::size_t>::max();

/// The half plane of uv cells that holds each sample or its conjugate.
struct uv_cells {
  std::int64_t half_x, half_y;
  double cells_per_wavelength_x, cells_per_wavelength_y;

  explicit uv_cells(const image_geometry& g)
      : half_x(static_cast<std::int64_t>(g.nx / 2)),
        half_y(static_cast<std::int64_t>(g.ny / 2)),
        cells_per_wavelength_x(static_cast<double>(g.nx) * std::abs(g.cell_x)),
        cells_per_wavelength_y(static_cast<double>(g.ny) * std::abs(g.cell_y)) {}

  std::size_t count() const { return static_cast<std::size_t>((2 * half_x + 1) * (half_y + 1)); }

  /// u, v in wavelengths. llround is symmetric about zero, so a conjugate always lands in the mirrored cell.
  std::size_t index(double u, double v) const {
    const double x = u * cells_per_wavelength_x, y = v * cells_per_wavelength_y;
    if (!(std::abs(x) <= static_cast<double>(half_x)) || !(std::abs(y) <= static_cast<double>(half_y))) return nowhere;
    std::int64_t ix = std::llround(x), iy = std::llround(y);
    if (iy < 0 || (iy == 0 && ix < 0)) ix = -ix, iy = -iy;
    return static_cast<std::size_t>(iy * (2 * half_x + 1) + ix + half_x);
  }
};

template <class F>
void for_each_sample(const weighted_coverage& block, std::size_t row_first, std::size_t row_last, F&& f) {
  const auto& c = block.coverage;
  for (std::size_t row = row_first; row < row_last; ++row)
    for (std::size_t ch = 0; ch < c.channels(); ++ch) {
      const std::size_t i = row * c.channels() + ch;
      if (!(block.weight[i] > 0)) continue;
      const double scale = c.frequency_hz[ch] / speed_of_light;
      f(i, c.uvw[3 * row] * scale, c.uvw[3 * row + 1] * scale);
    }
}

error cancelled() { return {error_code::cancelled, "cancelled while weighting"}; }

}  // namespace

result<imaging_weights> make_weights(std::span<const weighted_coverage> blocks, const image_geometry& image,
                                     weighting kind, double robust, std::stop_token stop) {
  if (image.nx == 0 || image.ny == 0 || !std::isfinite(image.cell_x) || !std::isfinite(image.cell_y) ||
      image.cell_x == 0 || image.cell_y == 0)
    return failure(error_code::invalid_argument, "image geometry: size and cell must be finite and not zero");
  const uv_cells cells(image);
  imaging_weights out;
  std::vector<double> density(kind == weighting::natural ? 0 : cells.count());
  double natural_sum = 0;
  for (const auto& block : blocks) {
    if (block.weight.size() != block.coverage.samples())
      return failure(error_code::invalid_argument, "weights: " + std::to_string(block.weight.size()) + " values for " +
                                                       std::to_string(block.coverage.samples()) +
                                                       " samples; expected one for each");
    const std::size_t rows = block.coverage.rows();
    const std::size_t slab = samples_per_poll / std::max<std::size_t>(1, block.coverage.channels()) + 1;
    for (std::size_t first = 0; first < rows; first += slab) {
      if (stop.stop_requested()) return failure(cancelled());
      for_each_sample(block, first, std::min(rows, first + slab), [&](std::size_t i, double u, double v) {
        const std::size_t cell = cells.index(u, v);
        if (cell == nowhere) {
          ++out.outside;
          return;
        }
        ++out.used;
        natural_sum += block.weight[i];
        if (!density.empty()) density[cell] += block.weight[i];
      });
    }
  }
  if (out.used == 0)
    return failure(error_code::invalid_argument,
                   out.outside == 0
                       ? "no unflagged visibility to image"
                       : "all " + std::to_string(out.outside) +
                             " unflagged visibilities lie beyond the image's uv grid; a smaller cell_arcsec is needed");

  double f2 = 0;
  if (kind == weighting::briggs) {
    double squares = 0;
    for (double w : density) squares += w * w;
    f2 = std::pow(5 * std::pow(10.0, -robust), 2) / (squares / natural_sum);
  }
  for (const auto& block : blocks) {
    auto& weights = out.blocks.emplace_back(block.weight.size(), 0.0F);
    gpu::parallel_for(block.coverage.rows(), 1024, stop, [&](std::size_t first, std::size_t last, std::size_t) {
      for_each_sample(block, first, last, [&](std::size_t i, double u, double v) {
        const std::size_t cell = cells.index(u, v);
        if (cell == nowhere) return;
        const double w = block.weight[i];
        weights[i] = static_cast<float>(kind == weighting::natural   ? w
                                        : kind == weighting::uniform ? w / density[cell]
                                                                     : w / (1 + f2 * density[cell]));
      });
    });
    if (stop.stop_requested()) return failure(cancelled());
    for (float w : weights) out.sum += w;
  }
  return out;
}

}  // namespace horizons::imaging
