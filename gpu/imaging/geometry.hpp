// The shapes that imaging works on: where pixels lie on the sky and how visibilities lie in memory.
// No algorithm here.
#pragma once

#include <complex>
#include <cstddef>
#include <span>

namespace horizons::imaging {

/// A rectangular SIN-projected image around the phase centre. Pixel (nx/2, ny/2) is the centre; the first
/// pixel axis runs to the WEST-to-EAST direction given by the sign of the cell: pixel x has
/// l = (x - nx/2) * cell_x and m = (y - ny/2) * cell_y (radians of direction cosine). FITS images have RA
/// growing to the left, so their cell_x is negative. Memory order is [y][x], x fastest, as in FITS.
struct image_geometry {
  std::size_t nx = 0;
  std::size_t ny = 0;
  double cell_x = 0;  // radians (direction cosine) per pixel, signed
  double cell_y = 0;

  std::size_t pixels() const { return nx * ny; }
  friend bool operator==(const image_geometry&, const image_geometry&) = default;
};

/// Where and when visibilities were measured. `uvw` metres [rows][3], J2000, with the sign such that a source
/// at direction cosines (l, m) contributes exp(-2 pi i (u l + v m + w (n - 1)) f / c), n = sqrt(1-l^2-m^2),
/// (FITS-IDI and CASA conventions differ; readers convert to this one). `frequency_hz` [channels].
struct uv_coverage {
  std::span<const double> uvw;
  std::span<const double> frequency_hz;

  std::size_t rows() const { return uvw.size() / 3; }
  std::size_t channels() const { return frequency_hz.size(); }
  std::size_t samples() const { return rows() * channels(); }
};

}  // namespace horizons::imaging
