#include "gpu/imaging/gridding_pass.hpp"

#include <cmath>
#include <utility>

#include "gpu/parallel.hpp"

namespace horizons::imaging {
namespace {

constexpr std::size_t runs_per_call = 256;  // between two looks at the stop token: < 100 ms anywhere
constexpr std::size_t rows_per_chunk = 8;   // of an FFT pass
constexpr int correction_terms = 24;        // of 1 / phi_hat along w: 1e-14 for every kernel

/// Cells of a row of a tile's buffer, halo and padding of the widest register included.
constexpr std::size_t tile_row_cells(int support) { return tile_cells + (support <= 8 ? 8 : 16); }

constexpr std::size_t tile_plane_cells(int support) {
  return tile_row_cells(support) * static_cast<std::size_t>(tile_cells + support - 1);
}

std::vector<column_batch> column_batches(std::size_t nx, std::size_t grid_nx, std::size_t width) {
  std::vector<column_batch> batches;
  for (std::size_t column = 0; column < grid_nx; column += width) {
    column_batch batch{.column = column, .segments = {}};
    for (std::size_t i = 0; i < width; ++i) {
      const std::size_t x = (column + i + nx / 2) % grid_nx;
      if (x >= nx) continue;
      if (batch.segments.empty() || batch.segments.back().x_end != x)
        batch.segments.push_back({.first = i, .x_begin = x, .x_end = x});
      ++batch.segments.back().x_end;
    }
    if (!batch.segments.empty()) batches.push_back(std::move(batch));
  }
  return batches;
}

std::vector<double> inverse_transform(const es_kernel& kernel, std::size_t n, std::size_t grid_n) {
  std::vector<double> inverse(n);
  for (std::size_t x = 0; x < n; ++x)
    inverse[x] =
        1 / kernel.transform((static_cast<double>(x) - static_cast<double>(n / 2)) / static_cast<double>(grid_n));
  return inverse;
}

}  // namespace

template <class Real>
void gridding_state<Real>::set_kernel(const es_kernel& kernel) {
  const auto rows = static_cast<std::size_t>(kernel.degree() + 1);
  taps.assign(rows * tap_lanes, 0);
  taps_twice.assign(rows * 2 * tap_lanes, 0);
  for (int d = 0; d <= kernel.degree(); ++d)
    for (int k = 0; k < kernel.support(); ++k) {
      taps[d * tap_lanes + k] = static_cast<Real>(kernel.tap(d, k));
      for (int part = 0; part < 2; ++part) taps_twice[(d * tap_lanes + k) * 2 + part] = taps[d * tap_lanes + k];
    }
  inverse_x = inverse_transform(kernel, image.nx, plan.grid_nx);
  inverse_y = inverse_transform(kernel, image.ny, plan.grid_ny);
  batches = column_batches(image.nx, plan.grid_nx, width);
  if (!planar)
    inverse_w = chebyshev_fit(correction_terms, [&](double x) {
      return 1 / kernel.transform(n_half / axes.planes_per_w * std::sqrt((x + 1) / 2));
    });
}

template <class Real>
void gridding_state<Real>::mark_lines() {
  line_used.assign(plan.w_planes * lines(), 0);
  for (const auto& bucket : index.buckets)
    for (std::size_t p = bucket.plane; p < bucket.plane + planes_per_sample(); ++p)
      for (std::size_t line = bucket.tile_y; line < bucket.tile_y + 2; ++line)  // the halo reaches the next tile
        line_used[p * lines() + line % lines()] = 1;
}

template <class Real>
void gridding_state<Real>::correct(const Real* from, Real* to) const {
  gpu::parallel_for(image.ny, rows_per_chunk, [&](std::size_t begin, std::size_t end, std::size_t) {
    kernels->correct({.from = from,
                      .to = to,
                      .nx = image.nx,
                      .ny = image.ny,
                      .y_begin = begin,
                      .y_end = end,
                      .cell_x = image.cell_x,
                      .cell_y = image.cell_y,
                      .inverse_x = inverse_x.data(),
                      .inverse_y = inverse_y.data(),
                      .inverse_w = planar ? nullptr : inverse_w.data(),
                      .inverse_w_count = correction_terms,
                      .n_centre = axes.n_centre,
                      .n_half = planar ? 1 : n_half});
  });
}

template <class Real>
gridding_pass<Real>::gridding_pass(const gridding_state<Real>& plan, std::stop_token token)
    : s(plan), stop(std::move(token)), tiles(gpu::thread_count()), columns(gpu::thread_count()) {
  const std::size_t held = std::min(s.planes_per_sample(), s.plan.w_planes);
  for (std::size_t p = 0; p < held; ++p) planes.push_back(aligned_array<complex>(s.plan.grid_nx * s.plan.grid_ny));
}

template <class Real>
Real* gridding_pass<Real>::tile(std::size_t worker) {
  if (!tiles[worker])  // padding behind the last row: a register may reach over its end
    tiles[worker] = aligned_array<Real>(2 * tile_plane_cells(s.plan.kernel_support) * s.planes_per_sample() + 64);
  return tiles[worker].get();
}

template <class Real>
std::complex<Real>* gridding_pass<Real>::column_buffer(std::size_t worker) {
  if (!columns[worker]) columns[worker] = aligned_array<complex>(s.plan.grid_ny * s.width);
  return columns[worker].get();
}

template <class Real>
tile_work<Real> gridding_pass<Real>::work_of(const tile_bucket& bucket, Real* buffer) const {
  return {.axes = &s.axes,
          .uvw = s.uvw.data(),
          .wavenumber = s.wavenumber.data(),
          .channels = s.wavenumber.size(),
          .taps = s.taps.data(),
          .taps_twice = s.taps_twice.data(),
          .tile_x = double(bucket.tile_x) * tile_cells,
          .tile_y = double(bucket.tile_y) * tile_cells,
          .plane = double(bucket.plane),
          .buffer = buffer,
          .row_cells = tile_row_cells(s.plan.kernel_support),
          .plane_cells = tile_plane_cells(s.plan.kernel_support)};
}

template <class Real>
tile_transfer<Real> gridding_pass<Real>::transfer_of(const tile_bucket& bucket, Real* buffer, Real** planes_of_bucket) {
  for (std::size_t i = 0; i < s.planes_per_sample(); ++i)
    planes_of_bucket[i] = reinterpret_cast<Real*>(plane(bucket.plane + i));
  return {.buffer = buffer,
          .row_cells = tile_row_cells(s.plan.kernel_support),
          .plane_cells = tile_plane_cells(s.plan.kernel_support),
          .planes = planes_of_bucket,
          .planes_count = s.planes_per_sample(),
          .grid_nx = s.plan.grid_nx,
          .grid_ny = s.plan.grid_ny,
          .tile_x = std::size_t{bucket.tile_x} * tile_cells,
          .tile_y = std::size_t{bucket.tile_y} * tile_cells,
          .edge = tile_cells + s.support() - 1};
}

template <class Real>
template <class Call>
void gridding_pass<Real>::in_slices(const tile_bucket& bucket, tile_work<Real> work, Call call) const {
  for (std::uint64_t begin = bucket.begin; begin < bucket.end && !stop.stop_requested(); begin += runs_per_call) {
    work.runs = s.index.runs.data() + begin;
    work.runs_count = std::min<std::uint64_t>(runs_per_call, bucket.end - begin);
    call(work);
  }
}

template <class Real>
void gridding_pass<Real>::grid_tiles(std::size_t p, const complex* vis, const Real* weight) {
  const auto kernel = (s.planar ? s.kernels->grid_planar : s.kernels->grid)[s.support()];
  for (std::size_t colour = 0; colour < colours; ++colour) {
    const auto buckets = s.index.of(p, colour);
    gpu::parallel_for(buckets.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t worker) {
      for (std::size_t b = begin; b < end && !stop.stop_requested(); ++b) {
        Real* target[kernel_support_max];
        auto work = work_of(buckets[b], tile(worker));
        work.vis_in = reinterpret_cast<const Real*>(vis);
        work.weight = weight;
        in_slices(buckets[b], work, kernel);
        s.kernels->flush(transfer_of(buckets[b], work.buffer, target));
      }
    });
  }
}

template <class Real>
void gridding_pass<Real>::degrid_tiles(std::size_t p, complex* vis) {
  const auto kernel = (s.planar ? s.kernels->degrid_planar : s.kernels->degrid)[s.support()];
  const std::size_t from = s.index.first[p * colours], to = s.index.first[(p + 1) * colours];
  gpu::parallel_for(to - from, 1, [&](std::size_t begin, std::size_t end, std::size_t worker) {
    for (std::size_t b = from + begin; b < from + end && !stop.stop_requested(); ++b) {
      Real* source[kernel_support_max];
      const auto& bucket = s.index.buckets[b];
      auto work = work_of(bucket, tile(worker));
      work.vis_out = reinterpret_cast<Real*>(vis);
      s.kernels->load(transfer_of(bucket, work.buffer, source));
      in_slices(bucket, work, kernel);
    }
  });
}

template <class Real>
column_block<Real> gridding_pass<Real>::block_of(const column_segment& segment, complex* buffer, std::size_t p,
                                                 Real* image) const {
  return {.columns = reinterpret_cast<Real*>(buffer),
          .width = s.width,
          .first = segment.first,
          .image = image,
          .x_begin = segment.x_begin,
          .x_end = segment.x_end,
          .nx = s.image.nx,
          .ny = s.image.ny,
          .grid_ny = s.plan.grid_ny,
          .cell_x = s.image.cell_x,
          .cell_y = s.image.cell_y,
          .w = s.plane_w(p),
          .n_centre = s.axes.n_centre};
}

template <class Real>
void gridding_pass<Real>::plane_to_image(std::size_t p, Real* image) {
  constexpr std::size_t width = gridding_state<Real>::width;
  const std::size_t nx = s.plan.grid_nx, ny = s.plan.grid_ny;
  complex* grid = plane(p);
  const fft_lines<Real> along_x(nx, 1, fft_direction::backward), along_y(ny, width, fft_direction::backward);
  gpu::parallel_for(ny, rows_per_chunk, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t y = begin; y < end && !stop.stop_requested(); ++y)
      if (s.used(p, y)) along_x(grid + y * nx);
  });
  gpu::parallel_for(s.batches.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t worker) {
    complex* buffer = column_buffer(worker);
    for (std::size_t b = begin; b < end && !stop.stop_requested(); ++b) {
      for (std::size_t y = 0; y < ny; ++y) {
        if (s.used(p, y))
          std::copy_n(grid + y * nx + s.batches[b].column, width, buffer + y * width);
        else
          std::fill_n(buffer + y * width, width, complex{});
      }
      along_y(buffer);
      for (const auto& segment : s.batches[b].segments) s.kernels->add_plane(block_of(segment, buffer, p, image));
    }
  });
  gpu::parallel_for(ny, rows_per_chunk, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t y = begin; y < end; ++y)
      if (s.used(p, y)) std::fill_n(grid + y * nx, nx, complex{});
  });
}

template <class Real>
void gridding_pass<Real>::image_to_plane(std::size_t p, Real* image) {
  constexpr std::size_t width = gridding_state<Real>::width;
  const std::size_t nx = s.plan.grid_nx, ny = s.plan.grid_ny;
  complex* grid = plane(p);
  const fft_lines<Real> along_x(nx, 1, fft_direction::forward), along_y(ny, width, fft_direction::forward);
  gpu::parallel_for(s.batches.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t worker) {
    complex* buffer = column_buffer(worker);
    for (std::size_t b = begin; b < end && !stop.stop_requested(); ++b) {
      std::fill_n(buffer, ny * width, complex{});
      for (const auto& segment : s.batches[b].segments) s.kernels->spread_plane(block_of(segment, buffer, p, image));
      along_y(buffer);
      for (std::size_t y = 0; y < ny; ++y)
        if (s.used(p, y)) std::copy_n(buffer + y * width, width, grid + y * nx + s.batches[b].column);
    }
  });
  const std::size_t right = s.image.nx - s.image.nx / 2, left = nx - s.image.nx / 2;  // between: no pixel, zero
  gpu::parallel_for(ny, rows_per_chunk, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t y = begin; y < end && !stop.stop_requested(); ++y)
      if (s.used(p, y)) {
        std::fill(grid + y * nx + right, grid + y * nx + left, complex{});
        along_x(grid + y * nx);
      }
  });
}

template struct gridding_state<float>;
template struct gridding_state<double>;
template class gridding_pass<float>;
template class gridding_pass<double>;

}  // namespace horizons::imaging
