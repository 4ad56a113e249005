// A small RGB picture to draw on, and its way into a PNG.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "messages/result.hpp"

namespace horizons::agents {

struct colour {
  std::uint8_t r = 0, g = 0, b = 0;
};

class canvas {
public:
  canvas(int width, int height, colour background);

  int width() const { return width_; }
  int height() const { return height_; }

  /// Everything outside the picture is cut off silently.
  void dot(int x, int y, colour c);
  void fill(int x, int y, int width, int height, colour c);
  void frame(int x, int y, int width, int height, colour c);
  /// (x, y) is the upper left corner; letters are `scale` times 5 by 8 dots.
  void text(int x, int y, std::string_view text, colour c, int scale = 2);
  static int text_width(std::string_view text, int scale = 2);
  static int text_height(int scale = 2);

  /// 8-bit RGB PNG. Fails with internal when libpng refuses.
  result<std::string> png() const;

private:
  int width_, height_;
  std::vector<colour> dots_;
};

/// A perceptually ordered map from dark to bright, 0…1 (values outside are clamped).
colour heat(double value);

}  // namespace horizons::agents
