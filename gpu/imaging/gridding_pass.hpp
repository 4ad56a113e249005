// The two directions of one gridding, plane by plane: what gridder.cpp plans is carried out here. Not a public
// interface: see gridder.hpp.
#pragma once

#include <algorithm>
#include <complex>
#include <cstddef>
#include <stop_token>
#include <vector>

#include "gpu/imaging/es_kernel.hpp"
#include "gpu/imaging/fft.hpp"
#include "gpu/imaging/gridder.hpp"
#include "gpu/imaging/gridder_kernels.hpp"
#include "gpu/imaging/sample_index.hpp"

namespace horizons::imaging {

inline constexpr std::size_t column_batch_bytes = 128;  // of each grid row: two cache lines

/// Consecutive grid columns of one FFT batch that belong to image pixels, where the image wraps around the grid.
struct column_segment {
  std::size_t first, x_begin, x_end;
};

struct column_batch {
  std::size_t column;  // first of `width` grid columns
  std::vector<column_segment> segments;
};

/// Everything that a plan decided; unchanged while passes run.
template <class Real>
struct gridding_state {
  using complex = std::complex<Real>;
  static constexpr std::size_t width = column_batch_bytes / sizeof(complex);

  image_geometry image;
  gridding_plan plan;
  grid_axes axes;
  double n_half = 0;
  bool planar = true;
  std::vector<double> uvw;             // w >= 0
  std::vector<unsigned char> flipped;  // [rows] 1: negated, so its visibilities are conjugated
  std::vector<double> wavenumber;      // frequency / c
  sample_index index;
  std::vector<unsigned char> line_used;  // [planes][tiles along y]: 32 grid rows that samples touch
  std::vector<Real> taps, taps_twice;    // see tile_work
  std::vector<double> inverse_x, inverse_y, inverse_w;
  std::vector<column_batch> batches;
  const gridder_kernels<Real>* kernels = nullptr;

  std::size_t support() const { return static_cast<std::size_t>(plan.kernel_support); }
  std::size_t planes_per_sample() const { return planar ? 1 : support(); }
  std::size_t first_planes() const { return plan.w_planes - planes_per_sample() + 1; }
  std::size_t lines() const { return plan.grid_ny / tile_cells; }
  bool used(std::size_t plane, std::size_t grid_y) const { return line_used[plane * lines() + grid_y / tile_cells]; }
  bool used(std::size_t plane) const {
    const auto* line = line_used.data() + plane * lines();
    return std::any_of(line, line + lines(), [](unsigned char u) { return u != 0; });
  }
  double plane_w(std::size_t plane) const {
    return planar ? 0 : axes.w_first + (static_cast<double>(plane) - axes.half_support) / axes.planes_per_w;
  }

  /// After the fields above: taps, corrections and column batches.
  void set_kernel(const es_kernel& kernel);
  /// After the index: which rows of which planes need a transform.
  void mark_lines();

  /// to = from divided by the transform of the kernel; 0 beyond the horizon.
  void correct(const Real* from, Real* to) const;
};

/// What one call of grid or degrid works on: planes, tiles and columns in memory. A ring of planes moves along w.
template <class Real>
class gridding_pass {
public:
  using complex = std::complex<Real>;

  /// Allocates the ring; throws std::bad_alloc. `plan` must outlive the pass. When `stop` is requested the calls
  /// below return early and what they leave is worthless.
  gridding_pass(const gridding_state<Real>& plan, std::stop_token stop);

  /// Grids the samples whose first plane is p, or degrids them; `vis` [rows][channels].
  void grid_tiles(std::size_t p, const complex* vis, const Real* weight);
  void degrid_tiles(std::size_t p, complex* vis);
  /// Adds finished plane p to the image and clears it for its next turn.
  void plane_to_image(std::size_t p, Real* image);
  /// The adjoint: what samples of plane p will read. Rows that none reads are left as they are.
  void image_to_plane(std::size_t p, Real* image);

private:
  complex* plane(std::size_t p) { return planes[p % planes.size()].get(); }
  Real* tile(std::size_t worker);
  complex* column_buffer(std::size_t worker);
  tile_work<Real> work_of(const tile_bucket& bucket, Real* buffer) const;
  tile_transfer<Real> transfer_of(const tile_bucket& bucket, Real* buffer, Real** planes_of_bucket);
  column_block<Real> block_of(const column_segment& segment, complex* buffer, std::size_t p, Real* image) const;
  template <class Call>
  void in_slices(const tile_bucket& bucket, tile_work<Real> work, Call call) const;

  const gridding_state<Real>& s;
  std::stop_token stop;
  std::vector<aligned_ptr<complex>> planes;   // a ring: plane p is planes[p % size]
  std::vector<aligned_ptr<Real>> tiles;       // per worker
  std::vector<aligned_ptr<complex>> columns;  // per worker
};

extern template struct gridding_state<float>;
extern template struct gridding_state<double>;
extern template class gridding_pass<float>;
extern template class gridding_pass<double>;

}  // namespace horizons::imaging
