#include "gpu/imaging/source_finder.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>

#include "gpu/imaging/least_squares.hpp"
#include "gpu/imaging/statistics.hpp"
#include "gpu/parallel.hpp"

namespace horizons::imaging {
namespace {

constexpr std::size_t island_pixels_max = 20'000;  // larger ones are summed, not fitted: a fit would take seconds
constexpr std::size_t pixels_per_poll = 1 << 20;   // some milliseconds
constexpr double four_ln2 = 4 * std::numbers::ln2;

struct island {
  std::vector<std::size_t> pixels;
  float peak = 0;
};

/// Islands of sign * image: flooded to flood * noise from pixels above seed * noise, diagonal neighbours included.
/// `owner` (where given) gets island number + 1 for each pixel. Unfinished when `stop` is requested.
std::vector<island> islands_of(std::span<const float> image, std::span<const float> noise, const image_geometry& g,
                               const finder_options& o, float sign, std::vector<std::uint32_t>& owner,
                               const std::stop_token& stop) {
  owner.assign(g.pixels(), 0);
  std::vector<island> islands;
  for (std::size_t start = 0; start < g.pixels(); ++start) {
    if (start % pixels_per_poll == 0 && stop.stop_requested()) break;
    if (owner[start] != 0 || !(sign * image[start] > o.seed_sigma * noise[start]) || !(noise[start] > 0)) continue;
    const auto number = static_cast<std::uint32_t>(islands.size() + 1);
    island found{{start}, 0};
    owner[start] = number;
    for (std::size_t next = 0; next < found.pixels.size(); ++next) {
      const std::size_t at = found.pixels[next], x = at % g.nx, y = at / g.nx;
      found.peak = std::max(found.peak, sign * image[at]);
      for (std::size_t ny = y > 0 ? y - 1 : 0; ny <= std::min(y + 1, g.ny - 1); ++ny)
        for (std::size_t nx = x > 0 ? x - 1 : 0; nx <= std::min(x + 1, g.nx - 1); ++nx) {
          const std::size_t to = ny * g.nx + nx;
          if (owner[to] != 0 || !(sign * image[to] > o.flood_sigma * noise[to])) continue;
          owner[to] = number;
          found.pixels.push_back(to);
        }
    }
    islands.push_back(std::move(found));
  }
  return islands;
}

/// What the fit of one island sees.
class island_fit {
public:
  island_fit(std::span<const float> image, std::span<const float> noise, const image_geometry& g,
             const gaussian_beam& beam, const direction& centre, const finder_options& o,
             const std::vector<std::uint32_t>& owner)
      : image_(image),
        noise_(noise),
        g_(g),
        beam_(beam),
        form_(form_of(beam, g)),
        centre_(centre),
        options_(o),
        owner_(owner) {}

  std::vector<found_source> sources_of(const island& is, std::uint32_t number) const {
    const auto peaks = peaks_of(is);
    std::vector<found_source> out;
    if (!peaks.empty() && is.pixels.size() <= island_pixels_max) out = fit(is, number, peaks);
    if (out.empty()) out.push_back(summed(is));
    for (auto& s : out) s.island = static_cast<int>(number);
    return out;
  }

private:
  struct component {
    double amplitude, x, y;
    gaussian_form form;
  };

  double snr(std::size_t at) const { return image_[at] / noise_[at]; }

  /// Local maxima above the seed level, at least 0.8 beams apart, brightest first.
  std::vector<std::size_t> peaks_of(const island& is) const {
    std::vector<std::size_t> maxima;
    for (std::size_t at : is.pixels) {
      if (snr(at) < options_.seed_sigma) continue;
      const std::size_t x = at % g_.nx, y = at / g_.nx;
      bool top = true;
      for (std::size_t ny = y > 0 ? y - 1 : 0; top && ny <= std::min(y + 1, g_.ny - 1); ++ny)
        for (std::size_t nx = x > 0 ? x - 1 : 0; nx <= std::min(x + 1, g_.nx - 1); ++nx)
          top = top && !(image_[ny * g_.nx + nx] > image_[at]);
      if (top) maxima.push_back(at);
    }
    std::sort(maxima.begin(), maxima.end(), [&](auto a, auto b) { return image_[a] > image_[b]; });
    std::vector<std::size_t> kept;
    for (std::size_t at : maxima) {
      if (kept.size() >= options_.components_per_island_max) break;
      const bool apart = std::all_of(kept.begin(), kept.end(), [&](std::size_t other) {
        // exponent = 4 ln 2 (distance / FWHM)^2
        return form_.exponent(dx(at, other), dy(at, other)) > four_ln2 * 0.64;
      });
      if (apart) kept.push_back(at);
    }
    return kept;
  }

  double dx(std::size_t a, std::size_t b) const {
    return static_cast<double>(a % g_.nx) - static_cast<double>(b % g_.nx);
  }
  double dy(std::size_t a, std::size_t b) const {
    return static_cast<double>(a / g_.nx) - static_cast<double>(b / g_.nx);
  }

  /// The island and what lies within half a beam of its peaks, without pixels of other islands: faint sources keep
  /// enough pixels for a fit, and the cut at flood level biases it less.
  std::vector<std::size_t> pixels_to_fit(const island& is, std::uint32_t number,
                                         const std::vector<std::size_t>& peaks) const {
    std::vector<std::size_t> pixels = is.pixels;
    const double reach = beam_.major_rad / std::min(std::abs(g_.cell_x), std::abs(g_.cell_y)) * 0.75;
    const auto r = static_cast<std::ptrdiff_t>(std::ceil(reach));
    for (std::size_t peak : peaks)
      for (std::ptrdiff_t oy = -r; oy <= r; ++oy)
        for (std::ptrdiff_t ox = -r; ox <= r; ++ox) {
          const auto x = static_cast<std::ptrdiff_t>(peak % g_.nx) + ox,
                     y = static_cast<std::ptrdiff_t>(peak / g_.nx) + oy;
          if (x < 0 || y < 0 || x >= static_cast<std::ptrdiff_t>(g_.nx) || y >= static_cast<std::ptrdiff_t>(g_.ny))
            continue;
          if (form_.exponent(static_cast<double>(ox), static_cast<double>(oy)) > four_ln2 * 0.36) continue;
          const auto at = static_cast<std::size_t>(y) * g_.nx + static_cast<std::size_t>(x);
          if ((owner_[at] == 0 || owner_[at] == number + 1) && std::isfinite(image_[at])) pixels.push_back(at);
        }
    std::sort(pixels.begin(), pixels.end());
    pixels.erase(std::unique(pixels.begin(), pixels.end()), pixels.end());
    return pixels;
  }

  /// Fits all components at once, in shape too when `free_shape`. False: no sensible minimum.
  bool fit_components(const std::vector<std::size_t>& pixels, bool free_shape,
                      std::vector<component>& components) const {
    const std::size_t stride = free_shape ? 6 : 3;
    std::vector<double> p;
    for (const auto& c : components) {
      p.insert(p.end(), {c.amplitude, c.x, c.y});
      if (free_shape) p.insert(p.end(), {c.form.xx, c.form.xy, c.form.yy});
    }
    auto form_at = [&](const std::vector<double>& at, std::size_t k) {
      return free_shape ? gaussian_form{at[k + 3], at[k + 4], at[k + 5]} : form_;
    };
    const auto outcome = fit_least_squares(
        p, pixels.size(),
        [&](std::size_t i, const std::vector<double>& at, std::span<double> gradient) {
          const double px = static_cast<double>(pixels[i] % g_.nx), py = static_cast<double>(pixels[i] / g_.nx);
          double model = 0;
          for (std::size_t k = 0; k < at.size(); k += stride) {
            const gaussian_form f = form_at(at, k);
            const double ex = px - at[k + 1], ey = py - at[k + 2];
            const double e = std::exp(-f.exponent(ex, ey)), value = at[k] * e;
            model += value;
            gradient[k] = e;
            gradient[k + 1] = value * 2 * (f.xx * ex + f.xy * ey);
            gradient[k + 2] = value * 2 * (f.xy * ex + f.yy * ey);
            if (free_shape) {
              gradient[k + 3] = -value * ex * ex;
              gradient[k + 4] = -value * 2 * ex * ey;
              gradient[k + 5] = -value * ey * ey;
            }
          }
          return model - static_cast<double>(image_[pixels[i]]);
        },
        [&](const std::vector<double>& at) {
          for (std::size_t k = 0; k < at.size(); k += stride)
            if (!(at[k] > 0) || !form_at(at, k).is_ellipse()) return false;
          return true;
        });
    if (!std::isfinite(outcome.sum_of_squares)) return false;
    std::vector<component> fitted;
    for (std::size_t k = 0; k < p.size(); k += stride) {
      const component& start = components[k / stride];
      const component c{p[k], p[k + 1], p[k + 2], form_at(p, k)};
      // A component that ran away by more than a beam, or blew up, describes something else.
      if (form_.exponent(c.x - start.x, c.y - start.y) > four_ln2 || c.amplitude > 3 * start.amplitude) return false;
      fitted.push_back(c);
    }
    components = std::move(fitted);
    return true;
  }

  std::vector<found_source> fit(const island& is, std::uint32_t number, const std::vector<std::size_t>& peaks) const {
    const auto pixels = pixels_to_fit(is, number, peaks);
    std::vector<component> points;
    for (std::size_t at : peaks)
      points.push_back({image_[at], static_cast<double>(at % g_.nx), static_cast<double>(at / g_.nx), form_});
    if (pixels.size() < 3 * peaks.size() || !fit_components(pixels, false, points)) return {};
    // An integral of a blend's wings fits shapes badly below this: then all are taken as points.
    std::vector<component> shaped = points;
    const bool has_shape = pixels.size() >= 9 * peaks.size() && fit_components(pixels, true, shaped);
    std::vector<found_source> out;
    for (std::size_t i = 0; i < points.size(); ++i) {
      found_source s = describe(points[i], false, peaks[i]);
      if (has_shape) {
        const found_source free = describe(shaped[i], true, peaks[i]);
        const double excess = free.flux_jy / free.peak_jy - 1;
        const double error = std::hypot(free.flux_error_jy / free.flux_jy, free.peak_error_jy / free.peak_jy);
        if (excess > std::max(0.03, 3 * error)) s = free;  // 3 %: smearing and the beam's own misfit
      }
      out.push_back(s);
    }
    return out;
  }

  found_source describe(const component& c, bool free_shape, std::size_t near) const {
    found_source s;
    s.x = c.x;
    s.y = c.y;
    s.peak_jy = c.amplitude;
    s.rms_jy = noise_[near];
    s.shape = free_shape ? beam_of(c.form, g_) : beam_;
    s.resolved = free_shape;
    if (free_shape) s.deconvolved = deconvolve(s.shape, beam_);
    const double area_ratio = s.shape.major_rad * s.shape.minor_rad / (beam_.major_rad * beam_.minor_rad);
    s.flux_jy = s.peak_jy * (free_shape ? area_ratio : 1);
    set_errors(s);
    locate(s);
    return s;
  }

  /// Condon 1997, eq. 20 and 21 with the noise correlated over the beam; both axes' ratios enter with the exponents for
  /// the amplitude (3/2, 3/2), the major axis (5/2, 1/2) and the minor axis (1/2, 5/2).
  void set_errors(found_source& s) const {
    const double major = s.shape.major_rad, minor = s.shape.minor_rad;
    const double beam_major2 = beam_.major_rad * beam_.major_rad, beam_minor2 = beam_.minor_rad * beam_.minor_rad;
    const double snr = s.peak_jy / s.rms_jy;
    auto relative2 = [&](double along_major, double along_minor) {  // 2 / rho^2
      const double rho2 = major * minor / (4 * std::sqrt(beam_major2 * beam_minor2)) *
                          std::pow(1 + beam_major2 / (major * major), along_major) *
                          std::pow(1 + beam_minor2 / (minor * minor), along_minor) * snr * snr;
      return 2 / rho2;
    };
    const double peak2 = relative2(1.5, 1.5), major2 = relative2(2.5, 0.5), minor2 = relative2(0.5, 2.5);
    s.peak_error_jy = s.peak_jy * std::sqrt(peak2);
    const double beams = std::sqrt(beam_major2 * beam_minor2) / (major * minor);
    s.flux_error_jy = s.flux_jy * std::sqrt(s.resolved ? peak2 + beams * (major2 + minor2) : peak2);
    const double along_major = major * major * major2 / (8 * std::numbers::ln2);
    const double along_minor = minor * minor * minor2 / (8 * std::numbers::ln2);
    const double sin_pa = std::sin(s.shape.pa_rad), cos_pa = std::cos(s.shape.pa_rad);
    s.ra_error_rad = std::sqrt(along_major * sin_pa * sin_pa + along_minor * cos_pa * cos_pa);
    s.dec_error_rad = std::sqrt(along_major * cos_pa * cos_pa + along_minor * sin_pa * sin_pa);
  }

  void locate(found_source& s) const {
    s.position = deproject(
        {(s.x - static_cast<double>(g_.nx / 2)) * g_.cell_x, (s.y - static_cast<double>(g_.ny / 2)) * g_.cell_y},
        centre_);
  }

  /// Without a fit: the peak pixel and the sum of the island's pixels.
  found_source summed(const island& is) const {
    const std::size_t top =
        *std::max_element(is.pixels.begin(), is.pixels.end(), [&](auto a, auto b) { return image_[a] < image_[b]; });
    double sum = 0;
    for (std::size_t at : is.pixels) sum += image_[at];
    found_source s =
        describe({image_[top], static_cast<double>(top % g_.nx), static_cast<double>(top / g_.nx), form_}, false, top);
    const double beam_pixels = std::max(1.0, beam_.area_pixels(g_));
    s.flux_jy = sum / beam_pixels;
    s.flux_error_jy = s.rms_jy * std::sqrt(std::max(1.0, static_cast<double>(is.pixels.size()) / beam_pixels));
    s.resolved = static_cast<double>(is.pixels.size()) > 4 * beam_pixels;
    s.fitted = false;
    return s;
  }

  std::span<const float> image_, noise_;
  image_geometry g_;
  gaussian_beam beam_;
  gaussian_form form_;
  direction centre_;
  finder_options options_;
  const std::vector<std::uint32_t>& owner_;
};

}  // namespace

result<found_sources> find_sources(std::span<const float> image, const image_geometry& g, const gaussian_beam& beam,
                                   const direction& centre, const finder_options& options, std::stop_token stop) {
  if (image.size() != g.pixels() || image.empty())
    return failure(error_code::invalid_argument, "image: " + std::to_string(image.size()) +
                                                     " pixels for a geometry of " + std::to_string(g.nx) + "x" +
                                                     std::to_string(g.ny));
  if (!(beam.minor_rad > 0))
    return failure(error_code::invalid_argument,
                   "beam: its minor axis is " + std::to_string(beam.minor_rad) + " rad; expected above 0");
  const auto noise = noise_map(image, g, beam, stop);
  if (stop.stop_requested()) return failure(error_code::cancelled, "cancelled while measuring the noise");
  found_sources out;
  out.rms_jy = quantiles(noise, std::vector<double>{0.5})[0];
  std::vector<std::uint32_t> owner;
  out.negative_islands = static_cast<std::int64_t>(islands_of(image, noise, g, options, -1, owner, stop).size());
  const auto islands = islands_of(image, noise, g, options, 1, owner, stop);
  if (stop.stop_requested()) return failure(error_code::cancelled, "cancelled while finding islands");
  out.islands = static_cast<std::int64_t>(islands.size());

  std::vector<std::uint32_t> order(islands.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return islands[a].peak > islands[b].peak; });
  order.resize(std::min(order.size(), options.sources_max));

  const island_fit fit(image, noise, g, beam, centre, options, owner);
  std::vector<std::vector<found_source>> found(order.size());
  gpu::parallel_for(order.size(), 4, [&](std::size_t first, std::size_t last, std::size_t) {
    for (std::size_t i = first; i < last && !stop.stop_requested(); ++i)
      found[i] = fit.sources_of(islands[order[i]], order[i]);
  });
  if (stop.stop_requested()) return failure(error_code::cancelled, "cancelled while fitting sources");
  for (auto& some : found) out.sources.insert(out.sources.end(), some.begin(), some.end());
  std::stable_sort(out.sources.begin(), out.sources.end(),
                   [](const auto& a, const auto& b) { return a.peak_jy > b.peak_jy; });
  if (out.sources.size() > options.sources_max) out.sources.resize(options.sources_max);
  return out;
}

}  // namespace horizons::imaging
