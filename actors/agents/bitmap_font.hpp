// Letters for pictures: a small fixed-width font of our own, 5 by 8 dots, ASCII. No layout, no other script.
#pragma once

#include <array>
#include <cstdint>

namespace horizons::agents {

inline constexpr int glyph_width = 5;
inline constexpr int glyph_height = 8;  // the last row is for descenders
inline constexpr int glyph_advance = 6;

/// Rows from the top, the highest of five bits is the leftmost dot. What the font lacks is drawn as a box.
std::array<std::uint8_t, glyph_height> glyph_of(char letter);

}  // namespace horizons::agents
