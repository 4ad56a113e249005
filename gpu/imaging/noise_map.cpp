#include <algorithm>
#include <cmath>

#include "gpu/imaging/source_finder.hpp"
#include "gpu/imaging/statistics.hpp"
#include "gpu/parallel.hpp"

namespace horizons::imaging {

std::vector<float> noise_map(std::span<const float> image, const image_geometry& g, const gaussian_beam& beam,
                             const std::stop_token& stop) {
  const double beam_pixels = std::max(1.0, std::sqrt(beam.area_pixels(g)));
  const auto box = std::max<std::size_t>(64, static_cast<std::size_t>(20 * beam_pixels));
  const auto whole = static_cast<float>(robust_of(image).rms);
  if (std::min(g.nx, g.ny) < 4 * box) return std::vector<float>(g.pixels(), whole);

  const std::size_t spacing = box / 2;
  const std::size_t nodes_x = (g.nx - 1) / spacing + 2, nodes_y = (g.ny - 1) / spacing + 2;
  std::vector<float> nodes(nodes_x * nodes_y);
  gpu::parallel_for(nodes.size(), 1, stop, [&](std::size_t first, std::size_t last, std::size_t) {
    std::vector<float> values;
    for (std::size_t node = first; node < last; ++node) {
      // A box around the node, moved inwards at the edges so that it is always full.
      const std::size_t cx = std::min(node % nodes_x * spacing, g.nx - box / 2),
                        cy = std::min(node / nodes_x * spacing, g.ny - box / 2);
      const std::size_t x0 = cx > box / 2 ? cx - box / 2 : 0, y0 = cy > box / 2 ? cy - box / 2 : 0;
      values.clear();
      for (std::size_t y = y0; y < std::min(g.ny, y0 + box); ++y)
        for (std::size_t x = x0; x < std::min(g.nx, x0 + box); ++x)
          if (const float v = image[y * g.nx + x]; std::isfinite(v)) values.push_back(v);
      const bool enough = values.size() > box * box / 16;  // else nearly all blank: the whole image's noise
      const auto rms = static_cast<float>(enough ? robust_in_place(values).rms : 0);
      nodes[node] = rms > 0 ? rms : whole;
    }
  });

  std::vector<float> map(g.pixels());
  gpu::parallel_for(g.ny, 64, stop, [&](std::size_t first, std::size_t last, std::size_t) {
    for (std::size_t y = first; y < last; ++y) {
      const std::size_t j = y / spacing;
      const float fy = static_cast<float>(y % spacing) / static_cast<float>(spacing);
      for (std::size_t x = 0; x < g.nx; ++x) {
        const std::size_t i = x / spacing;
        const float fx = static_cast<float>(x % spacing) / static_cast<float>(spacing);
        const float* a = nodes.data() + j * nodes_x + i;
        const float* b = a + nodes_x;
        map[y * g.nx + x] = (1 - fy) * ((1 - fx) * a[0] + fx * a[1]) + fy * ((1 - fx) * b[0] + fx * b[1]);
      }
    }
  });
  return map;
}

}  // namespace horizons::imaging
