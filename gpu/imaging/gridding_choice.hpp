// Which kernel, which grid: the cheapest way to a requested accuracy. No data is touched here.
#pragma once

#include <cstddef>

#include "gpu/imaging/es_kernel.hpp"
#include "gpu/imaging/geometry.hpp"

namespace horizons::imaging {

/// What the choice depends on.
struct gridding_problem {
  image_geometry image;
  double accuracy = 0;
  bool w_terms = true;
  double w_extent = 0;  // wavelengths, largest - smallest |w|
  double n_half = 0;    // half the range of n - 1 over the image
  double samples = 0;
  std::size_t real_bytes = 0;   // 4 or 8
  int support_max = 0;          // of the kernels compiled for this precision
  double memory_max_bytes = 0;  // for the planes held at once
};

struct gridding_choice {
  es_shape shape;           // support 0: no kernel reaches the accuracy
  double oversampling = 0;  // the smaller of both axes
  std::size_t grid_nx = 0, grid_ny = 0;
  double planes_per_w = 0;  // planes per wavelength of w; 0 when planar
  std::size_t w_planes = 1;
  double memory_bytes = 0;  // planes held at once
  bool fits = false;        // within memory_max_bytes; if not, the least hungry choice is given
};

gridding_choice choose(const gridding_problem& problem);

}  // namespace horizons::imaging
