// Restoring: a CLEAN model convolved with the fitted beam.
#pragma once

#include <span>
#include <stop_token>

#include "gpu/imaging/beam.hpp"
#include "gpu/imaging/geometry.hpp"

namespace horizons::imaging {

/// image += model convolved with a Gaussian of peak 1 (Jy/pixel becomes Jy/beam), both [ny][nx]. Components lie on
/// pixels, so one stamp serves them all; it ends where the Gaussian falls below 1e-8. When `stop` is requested the
/// image is left unfinished.
void restore(std::span<const float> model, const gaussian_beam& beam, const image_geometry& g, std::span<float> image,
             const std::stop_token& stop = {});

}  // namespace horizons::imaging
