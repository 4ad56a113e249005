#include "gpu/imaging/beam.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <numbers>
#include <string>
#include <vector>

#include "gpu/imaging/least_squares.hpp"

namespace horizons::imaging {
namespace {

constexpr double four_ln2 = 4 * std::numbers::ln2;

/// Covariance-like matrix of the ellipse in (l east, m north): FWHM^2 along its axes.
struct widths_squared {
  double ll = 0, lm = 0, mm = 0;
};

widths_squared matrix_of(const gaussian_beam& b) {
  const double s = std::sin(b.pa_rad), c = std::cos(b.pa_rad);
  const double major2 = b.major_rad * b.major_rad, minor2 = b.minor_rad * b.minor_rad;
  return {major2 * s * s + minor2 * c * c, (major2 - minor2) * s * c, major2 * c * c + minor2 * s * s};
}

gaussian_beam ellipse_of(const widths_squared& w) {
  const double mean = (w.ll + w.mm) / 2, half_gap = std::hypot((w.mm - w.ll) / 2, w.lm);
  gaussian_beam b{std::sqrt(std::max(0.0, mean + half_gap)), std::sqrt(std::max(0.0, mean - half_gap)),
                  0.5 * std::atan2(2 * w.lm, w.mm - w.ll)};
  if (b.pa_rad >= std::numbers::pi / 2) b.pa_rad -= std::numbers::pi;
  return b;
}

struct lobe_pixel {
  double dx, dy, value;
};

/// Pixels above the level that are connected (by edges) with the centre.
std::vector<lobe_pixel> main_lobe(std::span<const float> psf, const image_geometry& g, double floor) {
  constexpr std::size_t pixels_max =
      200'000;  // enough for any fit; a lobe wider than the image need not be walked in full
  const auto nx = static_cast<std::int64_t>(g.nx), ny = static_cast<std::int64_t>(g.ny);
  std::vector<bool> seen(g.pixels());
  std::vector<std::int64_t> open{(ny / 2) * nx + nx / 2};
  seen[static_cast<std::size_t>(open[0])] = true;
  std::vector<lobe_pixel> lobe;
  for (std::size_t next = 0; next < open.size() && lobe.size() < pixels_max; ++next) {
    const std::int64_t x = open[next] % nx, y = open[next] / nx;
    lobe.push_back({static_cast<double>(x - nx / 2), static_cast<double>(y - ny / 2),
                    static_cast<double>(psf[static_cast<std::size_t>(open[next])])});
    for (auto [sx, sy] : {std::array{1, 0}, {-1, 0}, {0, 1}, {0, -1}}) {
      if (x + sx < 0 || x + sx >= nx || y + sy < 0 || y + sy >= ny) continue;
      const auto at = static_cast<std::size_t>((y + sy) * nx + x + sx);
      if (seen[at] || !(psf[at] >= floor)) continue;
      seen[at] = true;
      open.push_back(static_cast<std::int64_t>(at));
    }
  }
  return lobe;
}

double arcsec(double rad) { return rad * 180 * 3600 / std::numbers::pi; }

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

}  // namespace

double gaussian_beam::area_pixels(const image_geometry& g) const {
  return std::numbers::pi * major_rad * minor_rad / four_ln2 / std::abs(g.cell_x * g.cell_y);
}

gaussian_form form_of(const gaussian_beam& beam, const image_geometry& g) {
  const widths_squared w = matrix_of(beam);
  const double k = four_ln2 / (w.ll * w.mm - w.lm * w.lm);
  return {k * w.mm * g.cell_x * g.cell_x, -k * w.lm * g.cell_x * g.cell_y, k * w.ll * g.cell_y * g.cell_y};
}

gaussian_beam beam_of(const gaussian_form& form, const image_geometry& g) {
  const double ll = form.xx / (g.cell_x * g.cell_x), mm = form.yy / (g.cell_y * g.cell_y),
               lm = form.xy / (g.cell_x * g.cell_y);
  const double k = four_ln2 / (ll * mm - lm * lm);
  return ellipse_of({k * mm, -k * lm, k * ll});
}

gaussian_beam deconvolve(const gaussian_beam& a, const gaussian_beam& b) {
  const widths_squared wa = matrix_of(a), wb = matrix_of(b);
  return ellipse_of({wa.ll - wb.ll, wa.lm - wb.lm, wa.mm - wb.mm});
}

result<gaussian_beam> fit_beam(std::span<const float> psf, const image_geometry& g, double level) {
  if (psf.size() != g.pixels() || psf.empty())
    return failure(error_code::invalid_argument, "psf: " + std::to_string(psf.size()) + " pixels for an image of " +
                                                     std::to_string(g.nx) + "x" + std::to_string(g.ny));
  const double peak = psf[(g.ny / 2) * g.nx + g.nx / 2];
  if (!(peak > 0) || !std::isfinite(peak))
    return failure(error_code::invalid_argument,
                   "psf: its centre is " + short_number(peak) + "; expected a positive peak there");
  const auto lobe = main_lobe(psf, g, level * peak);
  if (lobe.size() < 5) {
    // An ellipse of FWHM t pixels has pi/4 t^2 log2(1/level) pixels above the level; four pixels across are
    // comfortable.
    const double across = std::sqrt(static_cast<double>(lobe.size()) / (std::numbers::pi / 4 * -std::log2(level)));
    const double cell = arcsec(std::max(std::abs(g.cell_x), std::abs(g.cell_y)));
    return failure(error_code::invalid_argument,
                   "cell_arcsec = " + short_number(cell) + " is too coarse: the beam covers only " +
                       std::to_string(lobe.size()) + " pixels; about " +
                       short_number(cell * std::min(1.0, across / 4)) + " or less would do");
  }

  // First guess: -ln(psf) is linear in the form's three coefficients.
  std::vector<double> normal(9), p(3);
  for (const auto& pixel : lobe) {
    const std::array basis{pixel.dx * pixel.dx, 2 * pixel.dx * pixel.dy, pixel.dy * pixel.dy};
    const double weight = pixel.value * pixel.value, value = -std::log(pixel.value / peak);
    for (std::size_t j = 0; j < 3; ++j) {
      p[j] += weight * basis[j] * value;
      for (std::size_t k = 0; k < 3; ++k) normal[j * 3 + k] += weight * basis[j] * basis[k];
    }
  }
  if (!solve_cholesky(normal, p) || !gaussian_form{p[0], p[1], p[2]}.is_ellipse()) {
    const double guess = std::numbers::pi * -std::log(level) / static_cast<double>(lobe.size());
    p = {guess, 0, guess};
  }
  const auto outcome = fit_least_squares(
      p, lobe.size(),
      [&](std::size_t i, const std::vector<double>& at, std::span<double> gradient) {
        const auto& pixel = lobe[i];
        const double model = peak * std::exp(-gaussian_form{at[0], at[1], at[2]}.exponent(pixel.dx, pixel.dy));
        gradient[0] = -model * pixel.dx * pixel.dx;
        gradient[1] = -model * 2 * pixel.dx * pixel.dy;
        gradient[2] = -model * pixel.dy * pixel.dy;
        return model - pixel.value;
      },
      [](const std::vector<double>& at) {
        return gaussian_form{at[0], at[1], at[2]}.is_ellipse();
      });
  const gaussian_form form{p[0], p[1], p[2]};
  if (!form.is_ellipse() || !std::isfinite(outcome.sum_of_squares))
    return failure(
        error_code::invalid_argument,
        "psf: its main lobe is not like an ellipse (the uv coverage is too poor, or size is smaller than the beam)");
  return beam_of(form, g);
}

}  // namespace horizons::imaging
