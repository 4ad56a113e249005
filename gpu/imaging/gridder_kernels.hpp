// The hot loops of the gridder, compiled once per instruction set (gridder_kernels_*.cpp) and chosen at run time.
// Plain structs and pointers only: a std function inlined into a file built for AVX-512 could be the copy that
// the linker keeps for everybody.
#pragma once

#include <cstddef>
#include <cstdint>

namespace horizons::imaging {

/// Tile edge in grid cells: a 3-D tile of six planes in float is 60 KB, and the part that one baseline's track
/// touches stays in L1. Larger than any kernel, so that only neighbouring tiles overlap.
inline constexpr int tile_cells = 32;
inline constexpr int tap_lanes = 16;  // coefficient rows are padded to this many cells
inline constexpr int degree_max = 19;

/// Consecutive channels of one row that start in the same tile and plane, packed so that a run costs 8 bytes.
struct channel_run {
  static constexpr int channel_bits = 20, count_bits = 11;
  static constexpr std::size_t rows_max = std::size_t{1} << 32, channels_max = std::size_t{1} << channel_bits;
  static constexpr std::size_t count_max = std::size_t{1} << count_bits;

  // Inlined always, so that no copy built for one instruction set is left for the linker to share.
  [[gnu::always_inline]] static std::uint64_t pack(std::size_t row, std::size_t channel, std::size_t count,
                                                   bool flipped) {
    return (row << 32) | (channel << (count_bits + 1)) | ((count - 1) << 1) | (flipped ? 1u : 0u);
  }
  [[gnu::always_inline]] static std::size_t row(std::uint64_t run) { return run >> 32; }
  [[gnu::always_inline]] static std::size_t channel(std::uint64_t run) {
    return (run >> (count_bits + 1)) & (channels_max - 1);
  }
  [[gnu::always_inline]] static std::size_t count(std::uint64_t run) { return ((run >> 1) & (count_max - 1)) + 1; }
  [[gnu::always_inline]] static bool flipped(std::uint64_t run) { return run & 1; }
};

/// How sample coordinates become positions on the padded grid and in the stack of planes. `uvw` is in metres with
/// w >= 0 (flipped rows are negated), `wavenumber` is frequency / c.
struct grid_axes {
  double cell_x = 0, cell_y = 0;  // radians per pixel
  double grid_nx = 0, grid_ny = 0;
  double half_support = 0;               // cells
  double w_first = 0, planes_per_w = 0;  // wavelengths; planes per wavelength (0: planar)
  double n_centre = 0;                   // middle of the image's range of n - 1: phases are taken relative to it
};

/// Where the kernel's first cell of a sample lies.
struct cell {
  std::int32_t x, y, plane;
};

template <class Real>
struct tile_work {
  const grid_axes* axes = nullptr;
  const double* uvw = nullptr;         // [rows][3]
  const double* wavenumber = nullptr;  // [channels]
  std::size_t channels = 0;
  const std::uint64_t* runs = nullptr;
  std::size_t runs_count = 0;
  const Real* vis_in = nullptr;              // grid: [rows][channels] complex
  const Real* weight = nullptr;              // grid: may be null
  Real* vis_out = nullptr;                   // degrid
  const Real* taps = nullptr;                // [degree + 1][tap_lanes], powers of x ascending
  const Real* taps_twice = nullptr;          // [degree + 1][2 * tap_lanes], each coefficient twice
  double tile_x = 0, tile_y = 0, plane = 0;  // first cell and plane of the tile
  Real* buffer = nullptr;                    // [planes][tile rows][row_cells] complex
  std::size_t row_cells = 0, plane_cells = 0;
};

/// A tile's buffer against the planes of the grid, with wrap-around.
template <class Real>
struct tile_transfer {
  Real* buffer = nullptr;
  std::size_t row_cells = 0, plane_cells = 0;
  Real* const* planes = nullptr;  // [planes_count] grids, complex [grid_ny][grid_nx]
  std::size_t planes_count = 0;
  std::size_t grid_nx = 0, grid_ny = 0;
  std::size_t tile_x = 0, tile_y = 0;
  std::size_t edge = 0;  // cells along x and y: tile_cells + support - 1
};

/// A block of interleaved columns (one FFT batch) against pixels [x_begin, x_end) of the image.
template <class Real>
struct column_block {
  Real* columns = nullptr;           // [grid_ny][width] complex
  std::size_t width = 0, first = 0;  // column `first` belongs to pixel x_begin
  Real* image = nullptr;             // [ny][nx]
  std::size_t x_begin = 0, x_end = 0, nx = 0, ny = 0, grid_ny = 0;
  double cell_x = 0, cell_y = 0;
  double w = 0;  // of the plane, wavelengths
  double n_centre = 0;
};

/// Divides an image by the transform of the kernel.
template <class Real>
struct image_rows {
  const Real* from = nullptr;  // may equal `to`
  Real* to = nullptr;
  std::size_t nx = 0, ny = 0, y_begin = 0, y_end = 0;
  double cell_x = 0, cell_y = 0;
  const double* inverse_x = nullptr;  // [nx] 1 / transform along x
  const double* inverse_y = nullptr;  // [ny]
  const double* inverse_w = nullptr;  // [inverse_w_count] polynomial in ((n - 1 - n_centre) / n_half)^2; null: planar
  int inverse_w_count = 0;
  double n_centre = 0, n_half = 0;
};

template <class Real>
struct gridder_kernels {
  const char* name;
  void (*grid[17])(const tile_work<Real>&);  // by support, with w
  void (*degrid[17])(const tile_work<Real>&);
  void (*grid_planar[17])(const tile_work<Real>&);  // without w
  void (*degrid_planar[17])(const tile_work<Real>&);
  void (*flush)(const tile_transfer<Real>&);        // planes += buffer; buffer = 0
  void (*load)(const tile_transfer<Real>&);         // buffer = planes
  void (*add_plane)(const column_block<Real>&);     // image += Re(columns * screen)
  void (*spread_plane)(const column_block<Real>&);  // columns = image * conj(screen)
  void (*correct)(const image_rows<Real>&);
  void (*locate)(const grid_axes& axes, const double* uvw, const double* wavenumber, std::size_t channels, cell* out);
};

/// Support of the kernels that exist for a precision: kernel_support_min to this.
template <class Real>
inline constexpr int support_max = sizeof(Real) == 4 ? 8 : 16;

const gridder_kernels<float>& kernels_baseline(float);
const gridder_kernels<double>& kernels_baseline(double);
#ifdef HORIZONS_X86_KERNELS
const gridder_kernels<float>& kernels_avx2(float);
const gridder_kernels<double>& kernels_avx2(double);
const gridder_kernels<float>& kernels_avx512(float);
const gridder_kernels<double>& kernels_avx512(double);
#endif

/// The fastest set that this CPU runs; HORIZONS_SIMD=baseline|avx2|avx512 asks for a slower one.
template <class Real>
const gridder_kernels<Real>& kernels_for_this_cpu();

}  // namespace horizons::imaging
