#include "actors/agents/preview.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <vector>

#include "actors/agents/canvas.hpp"

namespace horizons::agents {
namespace {

constexpr colour paper{16, 18, 24}, ink{232, 234, 240}, faint{150, 156, 170}, blank{40, 44, 54};
constexpr std::size_t side_target = 780;  // of the image itself, in dots
constexpr int left = 96, top = 68, bottom = 66, right = 150, bar_width = 22, tick = 6;

std::string number(const char* form, double value) {
  char text[32];
  std::snprintf(text, sizeof text, form, value);
  return text;
}

/// How the image's pixels become dots: blocks of `shrink` pixels are one dot, or one pixel is `grow` dots.
struct zoom {
  std::size_t shrink = 1, grow = 1, width = 0, height = 0;

  explicit zoom(const imaging::image_geometry& g) {
    const std::size_t side = std::max(g.nx, g.ny);
    shrink = (side + side_target - 1) / side_target;
    grow = std::max<std::size_t>(1, shrink == 1 ? side_target / side : 1);
    width = (g.nx + shrink - 1) / shrink * grow;
    height = (g.ny + shrink - 1) / shrink * grow;
  }
  /// Dots per pixel.
  double scale() const { return static_cast<double>(grow) / static_cast<double>(shrink); }
};

class stretch {
public:
  stretch(double low, double high, double softness)
      : low_(low), softness_(softness), range_(std::asinh((high - low) / softness)) {}
  double operator()(double value) const { return std::asinh((value - low_) / softness_) / range_; }
  double inverse(double position) const { return low_ + softness_ * std::sinh(position * range_); }

private:
  double low_, softness_, range_;
};

/// The brightest pixel of a dot's block; NaN when all are blank.
float brightest(std::span<const float> pixels, const imaging::image_geometry& g, const zoom& z, std::size_t bx,
                std::size_t by) {
  float best = std::nanf("");
  for (std::size_t y = by * z.shrink; y < std::min(g.ny, (by + 1) * z.shrink); ++y)
    for (std::size_t x = bx * z.shrink; x < std::min(g.nx, (bx + 1) * z.shrink); ++x)
      if (const float v = pixels[y * g.nx + x]; !(v <= best)) best = std::isfinite(v) ? v : best;
  return best;
}

struct unit {
  double scale;
  const char* name;
};

unit flux_unit(double peak_jy) {
  if (peak_jy >= 1) return {1, "Jy/beam"};
  if (peak_jy >= 1e-3) return {1e3, "mJy/beam"};
  return {1e6, "uJy/beam"};
}

unit angle_unit(double half_width_rad) {
  const double arcsec = half_width_rad * 180 * 3600 / std::numbers::pi;
  if (arcsec >= 7200) return {180 / std::numbers::pi, "deg"};
  if (arcsec >= 120) return {180 * 60 / std::numbers::pi, "arcmin"};
  if (arcsec >= 1) return {180 * 3600 / std::numbers::pi, "arcsec"};
  return {180 * 3600e3 / std::numbers::pi, "mas"};
}

/// 1, 2 or 5 times a power of ten, so that about `count` steps fill the span.
double nice_step(double span, double count) {
  const double raw = span / count, power = std::pow(10, std::floor(std::log10(raw)));
  for (double m : {1.0, 2.0, 5.0})
    if (raw <= m * power) return m * power;
  return 10 * power;
}

void draw_axes(canvas& c, const imaging::image_geometry& g, const zoom& z) {
  const int w = static_cast<int>(z.width), h = static_cast<int>(z.height);
  c.frame(left - 1, top - 1, w + 2, h + 2, faint);
  const unit angle = angle_unit(static_cast<double>(std::max(g.nx, g.ny)) / 2 * std::abs(g.cell_y));
  const double per_dot_x = g.cell_x * angle.scale / z.scale(), per_dot_y = g.cell_y * angle.scale / z.scale();
  const double step = nice_step(std::abs(per_dot_y) * std::max(w, h), 6);
  const double centre_x = (static_cast<double>(g.nx / 2) + 0.5) * z.scale(),
               centre_y = (static_cast<double>(g.ny / 2) + 0.5) * z.scale();
  for (int k = -20; k <= 20; ++k) {
    const std::string label = number("%g", k * step);
    const int x = static_cast<int>(std::lround(centre_x + k * step / per_dot_x));
    if (x >= 0 && x < w) {
      c.fill(left + x, top + h, 1, tick, faint);
      c.text(left + x - canvas::text_width(label) / 2, top + h + tick + 4, label, ink);
    }
    const int y = h - 1 - static_cast<int>(std::lround(centre_y + k * step / per_dot_y));
    if (y >= 0 && y < h) {
      c.fill(left - tick, top + y, tick, 1, faint);
      c.text(left - tick - 4 - canvas::text_width(label), top + y - canvas::text_height() / 2, label, ink);
    }
  }
  const std::string below = std::string("offset to the east, ") + angle.name;
  c.text(left + (w - canvas::text_width(below)) / 2, top + h + tick + 8 + canvas::text_height() + 6, below, faint);
  c.text(8, top - canvas::text_height() - 4, "north", faint);
}

void draw_bar(canvas& c, const zoom& z, const stretch& s, double high) {
  const int h = static_cast<int>(z.height), x = left + static_cast<int>(z.width) + 24;
  for (int y = 0; y < h; ++y) c.fill(x, top + y, bar_width, 1, heat(1 - (y + 0.5) / h));
  c.frame(x - 1, top - 1, bar_width + 2, h + 2, faint);
  const unit flux = flux_unit(high);
  const int ticks = std::max(2, std::min(9, h / 60));
  int last = -1000;
  for (int i = 0; i <= ticks; ++i) {
    const double exact = i == ticks ? high : s.inverse(static_cast<double>(i) / ticks);
    const std::string label = number(i == ticks ? "%.4g" : "%.2g", exact * flux.scale);
    const bool exponent = label.find('e') != std::string::npos;
    const std::string shown = exponent ? number("%.0f", std::stod(label)) : label;
    const double value = i == ticks ? exact : std::stod(shown) / flux.scale;
    const int y = static_cast<int>(std::lround((1 - std::clamp(s(value), 0.0, 1.0)) * (h - 1)));
    if (std::abs(y - last) < canvas::text_height() + 2) continue;
    last = y;
    c.fill(x + bar_width, top + y, tick, 1, ink);
    c.text(x + bar_width + tick + 5, top + y - canvas::text_height() / 2, shown, ink);
  }
  c.text(x - 8, top + h + tick + 4, flux.name, ink);
}

/// A filled ellipse in a box in the lower left corner of the image.
void draw_beam(canvas& c, const imaging::image_geometry& g, const zoom& z, const imaging::gaussian_beam& beam) {
  const double dots = z.scale() / std::abs(g.cell_y);
  const double major = beam.major_rad * dots;
  if (major > 0.5 * static_cast<double>(std::min(z.width, z.height))) return;  // would hide the image
  const int box = std::max(20, static_cast<int>(std::ceil(major)) + 8);
  const int x0 = left + 8, y0 = top + static_cast<int>(z.height) - 8 - box;
  c.fill(x0, y0, box, box, paper);
  c.frame(x0, y0, box, box, faint);
  const double sin_pa = std::sin(beam.pa_rad), cos_pa = std::cos(beam.pa_rad);
  for (int y = 0; y < box; ++y)
    for (int x = 0; x < box; ++x) {
      const double east = (box / 2.0 - x - 0.5) / dots, north = (box / 2.0 - y - 0.5) / dots;
      const double along = east * sin_pa + north * cos_pa, across = east * cos_pa - north * sin_pa;
      const double minor = std::max(beam.minor_rad, 1.5 / dots), longer = std::max(beam.major_rad, 1.5 / dots);
      if (std::hypot(2 * along / longer, 2 * across / minor) <= 1) c.dot(x0 + x, y0 + y, ink);
    }
}

/// Cut so that it ends at the picture's edge.
std::string fitting(std::string text, int width) {
  while (canvas::text_width(text) > width && text.size() > 3)
    text = text.substr(0, text.size() - 3 - (text.ends_with("..") ? 2 : 0)) + "..";
  return text;
}

}  // namespace

result<std::string> draw_preview(std::span<const float> pixels, const imaging::image_geometry& g,
                                 const imaging::gaussian_beam& beam, double rms_jy, const preview_caption& caption,
                                 const std::stop_token& stop) {
  const zoom z(g);
  float high = 0;
  for (float v : pixels)
    if (v > high) high = v;
  const double noise = rms_jy > 0 ? rms_jy : std::max(high / 1000.0, 1e-12);
  const double top_value = std::max<double>(high, 5 * noise);
  const stretch s(-2 * noise, top_value, 4 * noise);

  // Below some width the captions and the bar would not fit.
  const int width = std::max(left + static_cast<int>(z.width) + right, 720);
  canvas c(width, top + static_cast<int>(z.height) + bottom, paper);
  for (std::size_t y = 0; y < z.height; ++y) {
    if (stop.stop_requested()) return failure(error_code::cancelled, "cancelled while drawing the preview");
    for (std::size_t x = 0; x < z.width; ++x) {
      const float v = brightest(pixels, g, z, x / z.grow, y / z.grow);
      c.dot(left + static_cast<int>(x), top + static_cast<int>(z.height - 1 - y),
            std::isfinite(v) ? heat(s(v)) : blank);
    }
  }
  draw_axes(c, g, z);
  draw_bar(c, z, s, top_value);
  draw_beam(c, g, z, beam);
  c.text(left, 10, fitting(caption.title, width - left - 8), ink);
  c.text(left, 34, fitting(caption.subtitle, width - left - 8), faint);
  return c.png();
}

}  // namespace horizons::agents
