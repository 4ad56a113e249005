// The restoring beam: an elliptical Gaussian fitted to the main lobe of a PSF.
#pragma once

#include <span>

#include "gpu/imaging/geometry.hpp"
#include "messages/result.hpp"

namespace horizons::imaging {

/// Full widths at half maximum in radians; position angle of the major axis from north through east, radians.
struct gaussian_beam {
  double major_rad = 0;
  double minor_rad = 0;
  double pa_rad = 0;

  /// Beam area in pixels: pi * major * minor / (4 ln 2) / |cell_x cell_y|.
  double area_pixels(const image_geometry& g) const;
};

/// The same ellipse as exp(-(xx dx^2 + 2 xy dx dy + yy dy^2)) with dx, dy in pixels.
struct gaussian_form {
  double xx = 0, xy = 0, yy = 0;

  bool is_ellipse() const { return xx > 0 && yy > 0 && xx * yy > xy * xy; }
  double exponent(double dx, double dy) const { return xx * dx * dx + 2 * xy * dx * dy + yy * dy * dy; }
};

gaussian_form form_of(const gaussian_beam& beam, const image_geometry& g);

/// Needs form.is_ellipse(). The position angle is in [-pi/2, pi/2).
gaussian_beam beam_of(const gaussian_form& form, const image_geometry& g);

/// The beam that convolved with `b` gives `a`; widths of 0 where `a` is not wider than `b`.
gaussian_beam deconvolve(const gaussian_beam& a, const gaussian_beam& b);

/// Least-squares fit to the pixels of the main lobe above `level` of the peak at the image's centre.
/// Fails with invalid_argument when the lobe covers fewer than five pixels (cell too coarse: names the cell that would
/// do).
result<gaussian_beam> fit_beam(std::span<const float> psf, const image_geometry& g, double level = 0.35);

}  // namespace horizons::imaging
