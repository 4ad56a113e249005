// The minor cycle of CLEAN (Hogbom 1974) with a cached peak per tile, so that an iteration touches only the pixels
// under the PSF patch. Where the patch ends, what it leaves out bounds how deep the cycle may go (Clark 1980); the
// major cycle (imager.hpp) puts the rest right.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include "gpu/imaging/geometry.hpp"
#include "messages/result.hpp"

namespace horizons::imaging {

struct clean_options {
  double gain = 0.1;
  double threshold = 0;  // stop when the highest |residual| is at or below this, Jy/beam
  std::int64_t iterations_max = 1000;
  std::size_t border = 0;  // pixels along each edge where no component is put
};

enum class clean_end { threshold, iterations, diverged };

struct clean_outcome {
  clean_end why = clean_end::threshold;
  std::int64_t iterations = 0;
  double peak_first = 0, peak_last = 0;  // highest |residual| in the window before and after
  std::size_t patch_half = 0;            // the PSF patch is 2 half + 1 pixels wide
  double sidelobe_outside = 0;           // highest |psf| beyond the patch
};

/// Prepared once for a PSF, then run once per major cycle.
template <class Real>
class minor_cycle {
public:
  /// `psf` [ny][nx] with its peak of 1 at (nx/2, ny/2); kept by reference, must outlive this.
  minor_cycle(const image_geometry& g, std::span<const Real> psf);

  /// Moves flux from `residual` [ny][nx] to `model` (both in place; blank pixels of the residual must be 0).
  /// The patch is the smallest whose outside sidelobe is a quarter of threshold / first peak; the effective threshold
  /// is never below sidelobe_outside * first peak. Ends with `diverged` when the peak grew by half over the lowest seen
  /// or is not finite. Fails only with `cancelled`.
  result<clean_outcome> run(std::span<Real> residual, std::span<Real> model, const clean_options& options,
                            std::stop_token stop = {}) const;

private:
  struct patch {
    std::size_t half;
    double outside;
  };
  patch patch_for(double sidelobe_max) const;

  std::size_t nx_, ny_;
  std::span<const Real> psf_;
  std::vector<double> outside_;  // [h] highest |psf| at a Chebyshev distance above h from the centre
};

extern template class minor_cycle<float>;
extern template class minor_cycle<double>;

}  // namespace horizons::imaging
