#include "actors/agents/preview.hpp"

#include <gtest/gtest.h>
#include <png.h>

#include <cmath>
#include <numbers>
#include <vector>

namespace horizons::agents {
namespace {

constexpr double arcsec = std::numbers::pi / 180 / 3600;

TEST(preview, draws_small_large_and_empty_images) {
  for (const std::size_t side : {32U, 500U, 3000U}) {
    std::vector<float> pixels(side * side);
    pixels[side * side / 2 + side / 2] = 1;
    pixels[0] = std::nanf("");
    const imaging::image_geometry g{side, side, -arcsec, arcsec};
    for (const double rms : {0.0, 0.01}) {
      const auto png = draw_preview(pixels, g, {4 * arcsec, 3 * arcsec, 0.3}, rms, {"a title", "rms"});
      ASSERT_TRUE(png) << png.error().text;
      png_image decoded{};
      decoded.version = PNG_IMAGE_VERSION;
      ASSERT_TRUE(png_image_begin_read_from_memory(&decoded, png->data(), png->size()));
      EXPECT_LE(decoded.width, 1100U);
      EXPECT_GE(decoded.height, 400U);
      png_image_free(&decoded);
    }
  }
}

}  // namespace
}  // namespace horizons::agents
