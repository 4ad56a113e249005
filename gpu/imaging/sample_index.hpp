// The order in which samples are gridded: runs of channels sorted by first w-plane and tile, so that each tile is
// brought to the cache once per plane. It holds positions in the caller's arrays, never visibilities.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include "gpu/imaging/geometry.hpp"
#include "gpu/imaging/gridder_kernels.hpp"

namespace horizons::imaging {

/// The runs of one tile at one first plane: runs[begin, end).
struct tile_bucket {
  std::uint64_t begin = 0, end = 0;
  std::uint32_t plane = 0;
  std::uint32_t tile_x = 0, tile_y = 0;  // in tiles
};

/// Tiles of one colour do not overlap, halo included, and are written at the same time without a lock; colours
/// follow each other, so that sums are added in the same order whatever the number of threads.
inline constexpr std::size_t colours = 9;  // 3 x 3: the last tile of an odd number has both neighbours' colours

struct sample_index {
  std::vector<std::uint64_t> runs;   // channel_run, sorted by bucket, then row and channel
  std::vector<tile_bucket> buckets;  // sorted by plane, then colour, then tile
  std::vector<std::size_t> first;    // [planes * colours + 1] into buckets

  std::span<const tile_bucket> of(std::size_t plane, std::size_t colour) const {
    const std::size_t at = plane * colours + colour;
    return {buckets.data() + first[at], buckets.data() + first[at + 1]};
  }
};

/// `uvw` [rows][3] with w >= 0; `flipped` [rows]; `wavenumber` [channels] = frequency / c; `mask` as gridder::make's;
/// `planes` is one more than the largest first plane. `locate` computes the cells of a row. When `stop` is requested
/// the index is incomplete and of no use.
sample_index make_sample_index(const grid_axes& axes, std::span<const double> uvw,
                               std::span<const unsigned char> flipped, std::span<const double> wavenumber,
                               std::span<const unsigned char> mask, std::size_t planes,
                               void (*locate)(const grid_axes&, const double*, const double*, std::size_t, cell*),
                               const std::stop_token& stop = {});

/// Bytes that make_sample_index needs beside the runs.
std::size_t sample_index_bytes(const grid_axes& axes, std::size_t planes);

}  // namespace horizons::imaging
