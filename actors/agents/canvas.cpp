#include "actors/agents/canvas.hpp"

#include <png.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "actors/agents/bitmap_font.hpp"

namespace horizons::agents {

canvas::canvas(int width, int height, colour background)
    : width_(width),
      height_(height),
      dots_(static_cast<std::size_t>(width) * static_cast<std::size_t>(height), background) {}

void canvas::dot(int x, int y, colour c) {
  if (x < 0 || y < 0 || x >= width_ || y >= height_) return;
  dots_[static_cast<std::size_t>(y) * static_cast<std::size_t>(width_) + static_cast<std::size_t>(x)] = c;
}

void canvas::fill(int x, int y, int width, int height, colour c) {
  for (int j = 0; j < height; ++j)
    for (int i = 0; i < width; ++i) dot(x + i, y + j, c);
}

void canvas::frame(int x, int y, int width, int height, colour c) {
  fill(x, y, width, 1, c);
  fill(x, y + height - 1, width, 1, c);
  fill(x, y, 1, height, c);
  fill(x + width - 1, y, 1, height, c);
}

void canvas::text(int x, int y, std::string_view text, colour c, int scale) {
  for (char letter : text) {
    const auto rows = glyph_of(letter);
    for (int j = 0; j < glyph_height; ++j)
      for (int i = 0; i < glyph_width; ++i)
        if (rows[static_cast<std::size_t>(j)] >> (glyph_width - 1 - i) & 1)
          fill(x + i * scale, y + j * scale, scale, scale, c);
    x += glyph_advance * scale;
  }
}

int canvas::text_width(std::string_view text, int scale) {
  return text.empty() ? 0 : (static_cast<int>(text.size()) * glyph_advance - 1) * scale;
}

int canvas::text_height(int scale) { return glyph_height * scale; }

result<std::string> canvas::png() const {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width_);
  image.height = static_cast<png_uint_32>(height_);
  image.format = PNG_FORMAT_RGB;
  static_assert(sizeof(colour) == 3, "libpng reads the dots as packed RGB");
  std::string out(PNG_IMAGE_PNG_SIZE_MAX(image), '\0');
  png_alloc_size_t size = out.size();
  const bool done = png_image_write_to_memory(&image, out.data(), &size, 0, dots_.data(), 0, nullptr) != 0;
  std::string reason = image.message;
  png_image_free(&image);
  if (!done) return failure(error_code::internal, "preview: libpng: " + reason);
  out.resize(size);
  return out;
}

colour heat(double value) {
  // From black over violet and orange to a pale yellow, lightness growing evenly.
  constexpr std::array<std::array<double, 3>, 9> stops{{{2, 2, 8},
                                                        {27, 14, 68},
                                                        {72, 18, 104},
                                                        {120, 30, 109},
                                                        {168, 46, 96},
                                                        {212, 72, 66},
                                                        {242, 120, 28},
                                                        {251, 182, 40},
                                                        {253, 250, 178}}};
  const double at = std::isfinite(value) ? std::clamp(value, 0.0, 1.0) * (stops.size() - 1) : 0;
  const auto i = std::min(static_cast<std::size_t>(at), stops.size() - 2);
  const double f = at - static_cast<double>(i);
  auto mix = [&](std::size_t k) {
    return static_cast<std::uint8_t>(std::lround(stops[i][k] * (1 - f) + stops[i + 1][k] * f));
  };
  return {mix(0), mix(1), mix(2)};
}

}  // namespace horizons::agents
