// How much each visibility counts in an image: natural, uniform or Briggs (robust) weights, from the density of
// samples in the cells of the image's uv grid. Does not grid visibilities.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include "gpu/imaging/geometry.hpp"
#include "messages/result.hpp"

namespace horizons::imaging {

enum class weighting { natural, uniform, briggs };

/// Samples of one block and what each is worth: `weight` [rows][channels] in 1/Jy^2, 0 = flagged.
struct weighted_coverage {
  uv_coverage coverage;
  std::span<const float> weight;
};

struct imaging_weights {
  std::vector<std::vector<float>> blocks;  // one per input block, same shape as its weights
  double sum = 0;                          // of all imaging weights: an image divided by it is in Jy/beam
  std::int64_t used = 0;                   // samples with weight > 0
  std::int64_t outside = 0;                // unflagged samples beyond the image's uv grid (cell too coarse): weight 0
};

/// The uv cell is 1/(nx |cell_x|) by 1/(ny |cell_y|) wavelengths; a sample and its conjugate share a cell, and all
/// blocks share one density. natural: w; uniform: w / W_cell; briggs: w / (1 + f^2 W_cell) with f^2 = (5 *
/// 10^-robust)^2 / (sum W_cell^2 / sum w) (Briggs 1995, thesis, chapter 3). Fails with invalid_argument for an
/// impossible geometry or when nothing is unflagged and inside the grid, with cancelled when `stop` is requested.
result<imaging_weights> make_weights(std::span<const weighted_coverage> blocks, const image_geometry& image,
                                     weighting kind, double robust, std::stop_token stop = {});

}  // namespace horizons::imaging
