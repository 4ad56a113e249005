#include "gpu/imaging/sample_index.hpp"

#include <algorithm>
#include <atomic>

#include "gpu/parallel.hpp"

namespace horizons::imaging {
namespace {

constexpr std::size_t rows_per_chunk = 256;

struct tiling {
  std::size_t nx, ny, planes;

  tiling(const grid_axes& axes, std::size_t planes_count)
      : nx(static_cast<std::size_t>(axes.grid_nx) / tile_cells),
        ny(static_cast<std::size_t>(axes.grid_ny) / tile_cells),
        planes(planes_count) {}

  std::size_t keys() const { return nx * ny * planes; }

  /// Clamped: a coordinate at the very end may round over it.
  std::size_t key(const cell& c) const {
    const auto x = std::min<std::size_t>(static_cast<std::size_t>(std::max(c.x, 0)) / tile_cells, nx - 1);
    const auto y = std::min<std::size_t>(static_cast<std::size_t>(std::max(c.y, 0)) / tile_cells, ny - 1);
    const auto plane = std::min<std::size_t>(static_cast<std::size_t>(std::max(c.plane, 0)), planes - 1);
    return (plane * ny + y) * nx + x;
  }

  static std::size_t colour(std::size_t tile, std::size_t count) {
    return count % 2 == 1 && tile + 1 == count ? 2 : tile % 2;
  }
};

}  // namespace

std::size_t sample_index_bytes(const grid_axes& axes, std::size_t planes) {
  return tiling(axes, planes).keys() * sizeof(std::uint32_t);
}

sample_index make_sample_index(const grid_axes& axes, std::span<const double> uvw,
                               std::span<const unsigned char> flipped, std::span<const double> wavenumber,
                               std::span<const unsigned char> mask, std::size_t planes,
                               void (*locate)(const grid_axes&, const double*, const double*, std::size_t, cell*),
                               const std::stop_token& stop) {
  const tiling tiles(axes, planes);
  const std::size_t rows = flipped.size(), channels = wavenumber.size();

  // Calls use(key, run) for every run of a row; channels of one run are consecutive, unmasked and share the key.
  const auto for_each_run = [&](std::size_t row, std::vector<cell>& cells, auto use) {
    locate(axes, uvw.data() + 3 * row, wavenumber.data(), channels, cells.data());
    const unsigned char* used = mask.empty() ? nullptr : mask.data() + row * channels;
    for (std::size_t c = 0; c < channels;) {
      if (used && !used[c]) {
        ++c;
        continue;
      }
      const std::size_t key = tiles.key(cells[c]), start = c++;
      while (c < channels && c - start < channel_run::count_max && (!used || used[c]) && tiles.key(cells[c]) == key)
        ++c;
      use(key, channel_run::pack(row, start, c - start, flipped[row]));
    }
  };
  const auto for_all_runs = [&](auto use) {
    gpu::parallel_for(rows, rows_per_chunk, stop, [&](std::size_t begin, std::size_t end, std::size_t) {
      std::vector<cell> cells(channels);
      for (std::size_t row = begin; row < end; ++row) for_each_run(row, cells, use);
    });
  };

  // A counting sort: count, then place. The counters become the places.
  std::vector<std::uint32_t> count(tiles.keys());
  for_all_runs(
      [&](std::size_t key, std::uint64_t) { std::atomic_ref(count[key]).fetch_add(1, std::memory_order_relaxed); });

  sample_index index;
  if (stop.stop_requested()) return index;
  std::vector<std::vector<tile_bucket>> of_colour(colours);
  index.first.push_back(0);
  std::uint64_t total = 0;
  for (std::size_t plane = 0; plane < planes; ++plane) {
    for (auto& list : of_colour) list.clear();
    for (std::size_t y = 0; y < tiles.ny; ++y)
      for (std::size_t x = 0; x < tiles.nx; ++x) {
        const std::uint32_t here = count[(plane * tiles.ny + y) * tiles.nx + x];
        if (here == 0) continue;
        of_colour[tiling::colour(y, tiles.ny) * 3 + tiling::colour(x, tiles.nx)].push_back(
            {.begin = total,
             .end = total + here,
             .plane = static_cast<std::uint32_t>(plane),
             .tile_x = static_cast<std::uint32_t>(x),
             .tile_y = static_cast<std::uint32_t>(y)});
        total += here;
      }
    for (auto& list : of_colour) {
      index.buckets.insert(index.buckets.end(), list.begin(), list.end());
      index.first.push_back(index.buckets.size());
    }
  }

  // Buckets were numbered in key order, so 64-bit places are the bucket's begin plus a 32-bit counter that runs
  // down to zero; a table of begins per key would cost twice the memory of the counters.
  std::vector<std::uint64_t> plane_row_begin(planes * tiles.ny + 1);
  for (std::size_t line = 0; line < planes * tiles.ny; ++line) {
    std::uint64_t sum = 0;
    for (std::size_t x = 0; x < tiles.nx; ++x) {
      std::uint32_t& c = count[line * tiles.nx + x];
      sum += c;
      c = static_cast<std::uint32_t>(sum);  // end of this key within its line of tiles
    }
    plane_row_begin[line + 1] = plane_row_begin[line] + sum;
  }
  if (stop.stop_requested()) return index;
  index.runs.resize(total);
  for_all_runs([&](std::size_t key, std::uint64_t run) {
    const std::uint32_t place = std::atomic_ref(count[key]).fetch_sub(1, std::memory_order_relaxed) - 1;
    index.runs[plane_row_begin[key / tiles.nx] + place] = run;
  });
  // Threads placed the runs in any order; sorting makes sums repeatable and memory access forward.
  gpu::parallel_for(index.buckets.size(), 16, stop, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t b = begin; b < end; ++b)
      std::sort(index.runs.begin() + static_cast<std::ptrdiff_t>(index.buckets[b].begin),
                index.runs.begin() + static_cast<std::ptrdiff_t>(index.buckets[b].end));
  });
  return index;
}

}  // namespace horizons::imaging
