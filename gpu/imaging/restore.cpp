#include "gpu/imaging/restore.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gpu/parallel.hpp"

namespace horizons::imaging {

void restore(std::span<const float> model, const gaussian_beam& beam, const image_geometry& g, std::span<float> image,
             const std::stop_token& stop) {
  struct component {
    std::size_t x, y;
    float flux;
  };
  std::vector<component> components;  // ordered by y
  for (std::size_t y = 0; y < g.ny && !stop.stop_requested(); ++y)
    for (std::size_t x = 0; x < g.nx; ++x)
      if (const float flux = model[y * g.nx + x]; flux != 0) components.push_back({x, y, flux});

  const gaussian_form form = form_of(beam, g);
  const double reach = std::log(1e8);  // exponent at the stamp's edge
  const double determinant = form.xx * form.yy - form.xy * form.xy;
  const auto half_x = std::min(g.nx, static_cast<std::size_t>(std::ceil(std::sqrt(reach * form.yy / determinant))));
  const auto half_y = std::min(g.ny, static_cast<std::size_t>(std::ceil(std::sqrt(reach * form.xx / determinant))));
  const std::size_t width = 2 * half_x + 1;
  std::vector<float> stamp(width * (2 * half_y + 1));
  for (std::size_t y = 0; y <= 2 * half_y; ++y)
    for (std::size_t x = 0; x < width; ++x)
      stamp[y * width + x] = static_cast<float>(std::exp(-form.exponent(
          static_cast<double>(x) - static_cast<double>(half_x), static_cast<double>(y) - static_cast<double>(half_y))));

  gpu::parallel_for(g.ny, 16, stop, [&](std::size_t first, std::size_t last, std::size_t) {
    auto c = std::lower_bound(components.begin(), components.end(), first,
                              [&](const component& at, std::size_t y) { return at.y + half_y < y; });
    for (; c != components.end() && c->y < last + half_y && !stop.stop_requested(); ++c) {
      const std::size_t y0 = std::max(first, c->y > half_y ? c->y - half_y : 0), y1 = std::min(last, c->y + half_y + 1);
      const std::size_t x0 = c->x > half_x ? c->x - half_x : 0, x1 = std::min(g.nx, c->x + half_x + 1);
      for (std::size_t y = y0; y < y1; ++y) {
        const float* s = stamp.data() + (y + half_y - c->y) * width + (x0 + half_x - c->x);
        float* line = image.data() + y * g.nx;
        for (std::size_t x = x0; x < x1; ++x) line[x] += c->flux * s[x - x0];
      }
    }
  });
}

}  // namespace horizons::imaging
