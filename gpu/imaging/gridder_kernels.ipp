// The text of the hot loops; included by one .cpp per instruction set, which defines HORIZONS_KERNELS (the
// function to define) and HORIZONS_VECTOR_BYTES (the width of its registers). No std function is used here, see
// gridder_kernels.hpp.
#include "gpu/imaging/gridder_kernels.hpp"

namespace horizons::imaging {
namespace {

using std::size_t;

constexpr int batch_samples = 64;  // samples whose coordinates are computed together: they fill the vectors

template <class Real, int Lanes>
struct vector_of {
  typedef Real type __attribute__((vector_size(Lanes * sizeof(Real))));
};

// Loops vectorise only when everything in them is inlined, which the compiler's size limits would refuse at times.
#define HORIZONS_INLINE [[gnu::always_inline]] inline

constexpr int power_of_two_from(int n) {
  int p = 1;
  while (p < n) p *= 2;
  return p;
}

/// How `Count` numbers are laid into registers.
template <class Real, int Count>
struct layout {
  static constexpr int native = HORIZONS_VECTOR_BYTES / int{sizeof(Real)};
  static constexpr int lanes = native < power_of_two_from(Count) ? native : power_of_two_from(Count);
  static constexpr int vectors = (Count + lanes - 1) / lanes;
  static constexpr int padded = lanes * vectors;
  using type = typename vector_of<Real, lanes>::type;
};

template <class Vector, class Real>
inline Vector load(const Real* p) {
  Vector v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

template <class Vector, class Real>
inline void store(Real* p, Vector v) {
  __builtin_memcpy(p, &v, sizeof v);
}

/// Nearest integer for |x| < 2^51. Not a library call: it vectorises on every instruction set. (This file must not
/// be built with -fassociative-math, which would fold it away.)
HORIZONS_INLINE double nearest(double x) {
  constexpr double shift = 6755399441055744.0;  // 1.5 * 2^52
  return (x + shift) - shift;
}

HORIZONS_INLINE double ceiling(double x) {
  const double r = nearest(x);
  return r < x ? r + 1 : r;
}

/// sin and cos of 2 pi x. The argument is reduced in double; the series of the rest (|angle| <= pi/4) is as long
/// as Real needs.
template <class Real>
HORIZONS_INLINE void sincos_turns(double x, Real& sine, Real& cosine) {
  const double quarter = nearest(4 * x);
  const Real angle = static_cast<Real>((x - 0.25 * quarter) * 6.283185307179586476925);
  const Real a2 = angle * angle;
  Real s, c;
  if constexpr (sizeof(Real) == 4) {
    s = angle * (1 + a2 * (-1.6666667e-1f + a2 * (8.3333310e-3f + a2 * -1.9840874e-4f + a2 * a2 * 2.7525562e-6f)));
    c = 1 + a2 * (-0.5f + a2 * (4.1666667e-2f + a2 * (-1.3888889e-3f + a2 * 2.4801587e-5f)));
  } else {
    s = angle *
        (1 + a2 * (-1.0 / 6 +
                   a2 * (1.0 / 120 +
                         a2 * (-1.0 / 5040 +
                               a2 * (1.0 / 362880 + a2 * (-1.0 / 39916800 + a2 * (1.0 / 6227020800.0 +
                                                                                  a2 * (-1.0 / 1307674368000.0))))))));
    c = 1 +
        a2 * (-0.5 + a2 * (1.0 / 24 + a2 * (-1.0 / 720 +
                                            a2 * (1.0 / 40320 + a2 * (-1.0 / 3628800 +
                                                                      a2 * (1.0 / 479001600.0 +
                                                                            a2 * (-1.0 / 87178291200.0 +
                                                                                  a2 * (1.0 / 20922789888000.0))))))));
  }
  const double half = nearest(0.5 * quarter - 0.25);  // floor(quarter / 2), quarter being whole
  const Real odd = static_cast<Real>(quarter - 2 * half);
  const Real sign = static_cast<Real>(1 - 2 * (half - 2 * nearest(0.5 * half - 0.25)));
  sine = sign * (odd * c + (1 - odd) * s);
  cosine = sign * ((1 - odd) * c - odd * s);
}

HORIZONS_INLINE double first_cell(double turns, double cells, double half_support) {
  double p = (turns - nearest(turns)) * cells - half_support;  // any period will do; choose [0, cells)
  p = ceiling(p);
  return p < 0 ? p + cells : p;
}

void locate(const grid_axes& axes, const double* uvw, const double* wavenumber, size_t channels, cell* out) {
  const double u = uvw[0] * axes.cell_x, v = uvw[1] * axes.cell_y, w = uvw[2];
  for (size_t i = 0; i < channels; ++i) {
    const double k = wavenumber[i];
    out[i].x = static_cast<std::int32_t>(first_cell(u * k, axes.grid_nx, axes.half_support));
    out[i].y = static_cast<std::int32_t>(first_cell(v * k, axes.grid_ny, axes.half_support));
    out[i].plane = static_cast<std::int32_t>(ceiling((w * k - axes.w_first) * axes.planes_per_w));
  }
}

/// Coordinates of up to batch_samples samples relative to the tile, and where their visibilities are.
template <class Real>
struct batch {
  int count = 0;
  size_t index[batch_samples];
  Real conjugate[batch_samples];  // -1 where the row is flipped
  double u[batch_samples], v[batch_samples], w[batch_samples];
  std::int32_t offset_x[batch_samples], offset_y[batch_samples];
  Real x[batch_samples], y[batch_samples], z[batch_samples];  // the polynomials' arguments, in [-1, 1]
  Real sine[batch_samples], cosine[batch_samples];
};

/// Position in the tile. The plan has put the sample into this tile, perhaps with other rounding: clamping the
/// offset keeps it there, and the polynomial does not mind an argument 1e-12 beyond its end.
HORIZONS_INLINE double in_tile(double turns, double cells, double half_support, double origin, double& offset) {
  double r = (turns - nearest(turns)) * cells - half_support - origin;
  r = r < -0.5 * cells ? r + cells : r;
  r = r > 0.5 * cells ? r - cells : r;
  r = r < -0.5 * cells ? r + cells : r;
  double whole = ceiling(r);
  whole = whole < 0 ? 0 : whole;
  whole = whole > tile_cells - 1 ? tile_cells - 1 : whole;
  offset = whole;
  return 2 * (whole - r) - 1;
}

template <class Real, bool Planes>
HORIZONS_INLINE void place(const tile_work<Real>& work, batch<Real>& b) {
  const grid_axes axes = *work.axes;
  for (int i = 0; i < b.count; ++i) {
    double whole_x, whole_y;
    b.x[i] = static_cast<Real>(in_tile(b.u[i] * axes.cell_x, axes.grid_nx, axes.half_support, work.tile_x, whole_x));
    b.y[i] = static_cast<Real>(in_tile(b.v[i] * axes.cell_y, axes.grid_ny, axes.half_support, work.tile_y, whole_y));
    b.offset_x[i] = static_cast<std::int32_t>(whole_x);
    b.offset_y[i] = static_cast<std::int32_t>(whole_y);
  }
  if constexpr (Planes)
    for (int i = 0; i < b.count; ++i) {
      b.z[i] = static_cast<Real>(2 * (work.plane - (b.w[i] - axes.w_first) * axes.planes_per_w) - 1);
      sincos_turns(b.w[i] * axes.n_centre, b.sine[i], b.cosine[i]);
    }
}

/// Walks the runs, handing batches of samples to `use`.
template <class Real, bool Planes, class Use>
inline void for_each_batch(const tile_work<Real>& work, Use use) {
  batch<Real> b;
  for (size_t r = 0; r < work.runs_count; ++r) {
    const std::uint64_t run = work.runs[r];
    const size_t row = channel_run::row(run), first = channel_run::channel(run), count = channel_run::count(run);
    const Real conjugate = channel_run::flipped(run) ? Real(-1) : Real(1);
    const double u = work.uvw[3 * row], v = work.uvw[3 * row + 1], w = work.uvw[3 * row + 2];
    for (size_t done = 0; done < count;) {
      const size_t room = static_cast<size_t>(batch_samples - b.count);
      const size_t now = count - done < room ? count - done : room;
      for (size_t i = 0; i < now; ++i) {
        const size_t channel = first + done + i;
        const double k = work.wavenumber[channel];
        const int at = b.count + static_cast<int>(i);
        b.index[at] = row * work.channels + channel;
        b.conjugate[at] = conjugate;
        b.u[at] = u * k;
        b.v[at] = v * k;
        if constexpr (Planes) b.w[at] = w * k;
      }
      done += now;
      b.count += static_cast<int>(now);
      if (b.count == batch_samples) {
        place<Real, Planes>(work, b);
        use(b);
        b.count = 0;
      }
    }
  }
  if (b.count > 0) {
    place<Real, Planes>(work, b);
    use(b);
  }
}

/// All cells of a kernel at x by Horner's rule; `Count` numbers from rows of `Stride` coefficients.
template <class Real, int Count, int Degree, int Stride>
HORIZONS_INLINE void horner(const Real* taps, Real x, typename layout<Real, Count>::type* out) {
  using rows = layout<Real, Count>;
  using vector = typename rows::type;
  for (int i = 0; i < rows::vectors; ++i) out[i] = load<vector>(taps + Degree * Stride + i * rows::lanes);
  for (int d = Degree - 1; d >= 0; --d)
    for (int i = 0; i < rows::vectors; ++i) out[i] = out[i] * x + load<vector>(taps + d * Stride + i * rows::lanes);
}

/// Products of the kernel along w and v: the weight of each row of cells.
template <class Real, int W, bool Planes>
struct row_weights {
  using cells = layout<Real, W>;
  static constexpr int planes = Planes ? W : 1;
  alignas(64) Real value[planes][cells::padded];

  HORIZONS_INLINE void set(const tile_work<Real>& work, Real y, [[maybe_unused]] Real z) {
    typename cells::type along_v[cells::vectors];
    horner<Real, W, W + 3, tap_lanes>(work.taps, y, along_v);
    if constexpr (Planes) {
      typename cells::type along_w[cells::vectors];
      horner<Real, W, W + 3, tap_lanes>(work.taps, z, along_w);
      alignas(64) Real w[cells::padded];
      for (int i = 0; i < cells::vectors; ++i) store(w + i * cells::lanes, along_w[i]);
      for (int p = 0; p < W; ++p)
        for (int i = 0; i < cells::vectors; ++i) store(value[p] + i * cells::lanes, along_v[i] * w[p]);
    } else {
      for (int i = 0; i < cells::vectors; ++i) store(value[0] + i * cells::lanes, along_v[i]);
    }
  }
};

template <class Real, int W, bool Planes>
void grid(const tile_work<Real>& work) {
  using row = layout<Real, 2 * W>;  // one row of cells, real and imaginary parts interleaved
  using vector = typename row::type;
  const size_t row_reals = 2 * work.row_cells, plane_reals = 2 * work.plane_cells;
  for_each_batch<Real, Planes>(work, [&](const batch<Real>& b) {
    Real re[batch_samples], im[batch_samples];
    for (int i = 0; i < b.count; ++i) {
      const Real weight = work.weight ? work.weight[b.index[i]] : Real(1);
      re[i] = work.vis_in[2 * b.index[i]] * weight;
      im[i] = work.vis_in[2 * b.index[i] + 1] * weight * b.conjugate[i];
    }
    if constexpr (Planes)
      for (int i = 0; i < b.count; ++i) {
        const Real r = re[i];
        re[i] = r * b.cosine[i] - im[i] * b.sine[i];
        im[i] = r * b.sine[i] + im[i] * b.cosine[i];
      }
    for (int i = 0; i < b.count; ++i) {
      vector along_u[row::vectors];
      horner<Real, 2 * W, W + 3, 2 * tap_lanes>(work.taps_twice, b.x[i], along_u);
      vector value;
      for (int lane = 0; lane < row::lanes; ++lane) value[lane] = lane % 2 == 0 ? re[i] : im[i];
      for (int n = 0; n < row::vectors; ++n) along_u[n] *= value;
      row_weights<Real, W, Planes> weights;
      weights.set(work, b.y[i], b.z[i]);
      Real* corner = work.buffer + static_cast<size_t>(b.offset_y[i]) * row_reals + 2 * b.offset_x[i];
      for (int p = 0; p < weights.planes; ++p) {
        Real* cells = corner + static_cast<size_t>(p) * plane_reals;
#pragma GCC unroll 16
        for (int j = 0; j < W; ++j, cells += row_reals)
          for (int n = 0; n < row::vectors; ++n) {
            Real* at = cells + n * row::lanes;
            store(at, load<vector>(at) + along_u[n] * weights.value[p][j]);
          }
      }
    }
  });
}

template <class Real, int W, bool Planes>
void degrid(const tile_work<Real>& work) {
  using row = layout<Real, 2 * W>;
  using vector = typename row::type;
  const size_t row_reals = 2 * work.row_cells, plane_reals = 2 * work.plane_cells;
  for_each_batch<Real, Planes>(work, [&](const batch<Real>& b) {
    Real re[batch_samples], im[batch_samples];
    for (int i = 0; i < b.count; ++i) {
      row_weights<Real, W, Planes> weights;
      weights.set(work, b.y[i], b.z[i]);
      const Real* corner = work.buffer + static_cast<size_t>(b.offset_y[i]) * row_reals + 2 * b.offset_x[i];
      vector even[row::vectors] = {}, odd[row::vectors] = {};  // two chains of additions hide their latency
      for (int p = 0; p < weights.planes; ++p) {
        const Real* cells = corner + static_cast<size_t>(p) * plane_reals;
#pragma GCC unroll 16
        for (int j = 0; j < W; ++j, cells += row_reals)
          for (int n = 0; n < row::vectors; ++n)
            (j % 2 ? odd : even)[n] += load<vector>(cells + n * row::lanes) * weights.value[p][j];
      }
      vector along_u[row::vectors];
      horner<Real, 2 * W, W + 3, 2 * tap_lanes>(work.taps_twice, b.x[i], along_u);
      vector sum = (even[0] + odd[0]) * along_u[0];
      for (int n = 1; n < row::vectors; ++n) sum += (even[n] + odd[n]) * along_u[n];
      Real r = 0, m = 0;
      for (int lane = 0; lane < row::lanes; lane += 2) {
        r += sum[lane];
        m += sum[lane + 1];
      }
      re[i] = r;
      im[i] = m;
    }
    if constexpr (Planes)
      for (int i = 0; i < b.count; ++i) {
        const Real r = re[i];
        re[i] = r * b.cosine[i] + im[i] * b.sine[i];
        im[i] = im[i] * b.cosine[i] - r * b.sine[i];
      }
    for (int i = 0; i < b.count; ++i) {
      work.vis_out[2 * b.index[i]] = re[i];
      work.vis_out[2 * b.index[i] + 1] = im[i] * b.conjugate[i];
    }
  });
}

/// Calls use(buffer row, grid row, reals) for the pieces of each row of a tile, cut where the grid wraps.
template <class Real, class Use>
HORIZONS_INLINE void for_each_piece(const tile_transfer<Real>& t, Use use) {
  const size_t whole = t.grid_nx - t.tile_x < t.edge ? t.grid_nx - t.tile_x : t.edge;
  for (size_t p = 0; p < t.planes_count; ++p)
    for (size_t j = 0; j < t.edge; ++j) {
      const size_t y = t.tile_y + j < t.grid_ny ? t.tile_y + j : t.tile_y + j - t.grid_ny;
      Real* buffer = t.buffer + 2 * (p * t.plane_cells + j * t.row_cells);
      Real* line = t.planes[p] + 2 * y * t.grid_nx;
      use(buffer, line + 2 * t.tile_x, 2 * whole);
      if (whole < t.edge) use(buffer + 2 * whole, line, 2 * (t.edge - whole));
    }
}

template <class Real>
void flush(const tile_transfer<Real>& t) {
  for_each_piece(t, [](Real* __restrict buffer, Real* __restrict line, size_t reals) {
    for (size_t i = 0; i < reals; ++i) line[i] += buffer[i];
    for (size_t i = 0; i < reals; ++i) buffer[i] = 0;
  });
}

template <class Real>
void load_tile(const tile_transfer<Real>& t) {
  for_each_piece(t, [](Real* __restrict buffer, const Real* __restrict line, size_t reals) {
    for (size_t i = 0; i < reals; ++i) buffer[i] = line[i];
  });
}

/// n - 1 for the squared distance from the phase centre, without cancellation near it; r2 < 1.
HORIZONS_INLINE double n_minus_1(double r2) { return -r2 / (1 + __builtin_sqrt(1 - r2)); }

/// Calls use(pixel, column, cos, sin of the w-screen) for each pixel of a block; the screen is 0 beyond the horizon.
template <class Real, class Use>
HORIZONS_INLINE void for_each_screened(const column_block<Real>& block, Use use) {
  const size_t count = block.x_end - block.x_begin;
  for (size_t y = 0; y < block.ny; ++y) {
    const size_t grid_y = y < block.ny / 2 ? y + block.grid_ny - block.ny / 2 : y - block.ny / 2;
    Real* __restrict column = block.columns + 2 * (grid_y * block.width + block.first);
    Real* __restrict pixel = block.image + y * block.nx + block.x_begin;
    const double m = (static_cast<double>(y) - static_cast<double>(block.ny / 2)) * block.cell_y, m2 = m * m;
    const double x0 = static_cast<double>(block.x_begin) - static_cast<double>(block.nx / 2);
    for (int i = 0; i < static_cast<int>(count); ++i) {
      const double l = (x0 + i) * block.cell_x;
      const double r2 = l * l + m2;
      const double n1 = n_minus_1(r2 < 1 ? r2 : 0);
      Real sine, cosine;
      sincos_turns(block.w * (n1 - block.n_centre), sine, cosine);
      const Real visible = r2 < 1 ? Real(1) : Real(0);
      use(pixel[i], column[2 * i], column[2 * i + 1], cosine * visible, sine * visible);
    }
  }
}

template <class Real>
void add_plane(const column_block<Real>& block) {
  for_each_screened(
      block, [](Real & pixel, Real & re, Real & im, Real cosine, Real sine)
                 __attribute__((always_inline)) { pixel += re * cosine - im * sine; });
}

template <class Real>
void spread_plane(const column_block<Real>& block) {
  for_each_screened(
      block, [](Real & pixel, Real & re, Real & im, Real cosine, Real sine) __attribute__((always_inline)) {
        re = pixel * cosine;
        im = -pixel * sine;
      });
}

template <class Real>
void correct(const image_rows<Real>& rows) {
  constexpr int lanes = 16;
  for (size_t y = rows.y_begin; y < rows.y_end; ++y) {
    const double m = (static_cast<double>(y) - static_cast<double>(rows.ny / 2)) * rows.cell_y;
    for (size_t x0 = 0; x0 < rows.nx; x0 += lanes) {
      const int count = static_cast<int>(rows.nx - x0 < lanes ? rows.nx - x0 : lanes);
      double factor[lanes], visible[lanes], t2[lanes];
      for (int i = 0; i < lanes; ++i) {
        const double l = (static_cast<double>(x0) - static_cast<double>(rows.nx / 2) + i) * rows.cell_x;
        const double r2 = l * l + m * m;
        visible[i] = r2 < 1 ? rows.inverse_y[y] : 0.0;
        const double t = (n_minus_1(r2 < 1 ? r2 : 0) - rows.n_centre) / rows.n_half;
        t2[i] = t * t;
        factor[i] = rows.inverse_w ? 0.0 : 1.0;
      }
      for (int d = rows.inverse_w ? rows.inverse_w_count - 1 : -1; d >= 0; --d)
        for (int i = 0; i < lanes; ++i) factor[i] = factor[i] * (2 * t2[i] - 1) + rows.inverse_w[d];
      for (int i = 0; i < count; ++i) {
        const double f = factor[i] * visible[i] * rows.inverse_x[x0 + i];
        // A product with 0 would keep NaN and infinity of the pixel.
        rows.to[y * rows.nx + x0 + i] =
            visible[i] == 0 ? Real(0) : static_cast<Real>(rows.from[y * rows.nx + x0 + i] * f);
      }
    }
  }
}

template <class Real, int W>
constexpr void fill(gridder_kernels<Real>& table) {
  table.grid[W] = grid<Real, W, true>;
  table.degrid[W] = degrid<Real, W, true>;
  table.grid_planar[W] = grid<Real, W, false>;
  table.degrid_planar[W] = degrid<Real, W, false>;
  if constexpr (W < support_max<Real>) fill<Real, W + 1>(table);
}

template <class Real>
constexpr gridder_kernels<Real> make_table(const char* name) {
  gridder_kernels<Real> table{};
  table.name = name;
  fill<Real, 3>(table);
  table.flush = flush<Real>;
  table.load = load_tile<Real>;
  table.add_plane = add_plane<Real>;
  table.spread_plane = spread_plane<Real>;
  table.correct = correct<Real>;
  table.locate = locate;
  return table;
}

}  // namespace

const gridder_kernels<float>& HORIZONS_KERNELS(float) {
  static constexpr auto table = make_table<float>(HORIZONS_KERNELS_NAME);
  return table;
}

const gridder_kernels<double>& HORIZONS_KERNELS(double) {
  static constexpr auto table = make_table<double>(HORIZONS_KERNELS_NAME);
  return table;
}

}  // namespace horizons::imaging
