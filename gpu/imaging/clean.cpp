#include "gpu/imaging/clean.hpp"

#include <algorithm>
#include <cmath>

#include "gpu/parallel.hpp"

namespace horizons::imaging {
namespace {

constexpr std::size_t tile_side = 32;                 // 4 KiB of floats: a tile stays in the first-level cache
constexpr std::size_t patch_half_min = 32;            // below that the scan over tile peaks costs more than the patch
constexpr std::int64_t iterations_per_poll = 64;      // a full-image patch of 4096^2 costs ~8 ms: polled within 0.5 s
constexpr std::size_t pixels_for_threads = 1U << 19;  // smaller patches are done before other threads wake up

struct peak {
  double height = -1;  // |residual|; -1: nothing in the window
  std::size_t at = 0;
};

/// The image cut into tiles, with the highest |residual| of each inside the clean window.
template <class Real>
class tiled_peaks {
public:
  tiled_peaks(std::size_t nx, std::size_t ny, std::size_t border, std::span<const Real> residual)
      : nx_(nx),
        ny_(ny),
        border_(border),
        tiles_x_((nx + tile_side - 1) / tile_side),
        tiles_y_((ny + tile_side - 1) / tile_side),
        residual_(residual),
        peaks_(tiles_x_ * tiles_y_) {
    for (std::size_t ty = 0; ty < tiles_y_; ++ty)
      for (std::size_t tx = 0; tx < tiles_x_; ++tx) rescan(tx, ty);
  }

  void rescan(std::size_t tx, std::size_t ty) {
    const std::size_t x0 = std::max(tx * tile_side, border_), x1 = std::min((tx + 1) * tile_side, nx_ - border_);
    const std::size_t y0 = std::max(ty * tile_side, border_), y1 = std::min((ty + 1) * tile_side, ny_ - border_);
    peak best;
    if (x0 < x1) {
      Real highest = -1;
      std::size_t row = 0;
      for (std::size_t y = y0; y < y1; ++y) {  // heights first (vectorises), the column only of the best row
        Real top = 0;
        const Real* line = residual_.data() + y * nx_;
        for (std::size_t x = x0; x < x1; ++x) top = std::max(top, std::abs(line[x]));
        if (top > highest) highest = top, row = y;
      }
      if (highest >= 0) {
        const Real* line = residual_.data() + row * nx_;
        std::size_t x = x0;
        while (x + 1 < x1 && std::abs(line[x]) != highest) ++x;
        best = {static_cast<double>(highest), row * nx_ + x};
      }
    }
    peaks_[ty * tiles_x_ + tx] = best;
  }

  peak highest() const {
    return *std::max_element(peaks_.begin(), peaks_.end(),
                             [](const peak& a, const peak& b) { return a.height < b.height; });
  }

private:
  std::size_t nx_, ny_, border_, tiles_x_, tiles_y_;
  std::span<const Real> residual_;
  std::vector<peak> peaks_;
};

}  // namespace

template <class Real>
minor_cycle<Real>::minor_cycle(const image_geometry& g, std::span<const Real> psf)
    : nx_(g.nx), ny_(g.ny), psf_(psf), outside_(std::max(g.nx, g.ny) / 2 + 2, 0.0) {
  auto distance = [](std::size_t a, std::size_t b) { return a > b ? a - b : b - a; };
  for (std::size_t y = 0; y < ny_; ++y)
    for (std::size_t x = 0; x < nx_; ++x) {
      const std::size_t d = std::max(distance(x, nx_ / 2), distance(y, ny_ / 2));
      outside_[d] = std::max(outside_[d], static_cast<double>(std::abs(psf_[y * nx_ + x])));
    }
  for (std::size_t h = outside_.size() - 1; h-- > 0;) outside_[h] = std::max(outside_[h], outside_[h + 1]);
  outside_.erase(outside_.begin());  // [h] now counts distances above h
}

template <class Real>
auto minor_cycle<Real>::patch_for(double sidelobe_max) const -> patch {
  std::size_t half = std::min(patch_half_min, outside_.size() - 1);
  while (half + 1 < outside_.size() && outside_[half] > sidelobe_max)
    half = std::min(half + half / 2, outside_.size() - 1);
  return {half, outside_[half]};
}

template <class Real>
result<clean_outcome> minor_cycle<Real>::run(std::span<Real> residual, std::span<Real> model,
                                             const clean_options& options, std::stop_token stop) const {
  const std::size_t border = std::min(options.border, (std::min(nx_, ny_) - 1) / 2);
  tiled_peaks<Real> peaks(nx_, ny_, border, residual);
  clean_outcome out;
  peak top = peaks.highest();
  out.peak_first = out.peak_last = top.height;
  if (!std::isfinite(top.height)) {
    out.why = clean_end::diverged;
    return out;
  }
  const patch cut = patch_for(top.height > 0 ? options.threshold / top.height / 4 : 1);
  out.patch_half = cut.half;
  out.sidelobe_outside = cut.outside;
  const double threshold = std::max(options.threshold, cut.outside * top.height);
  double lowest = top.height;

  while (top.height > threshold) {
    if (out.iterations >= options.iterations_max) {
      out.why = clean_end::iterations;
      break;
    }
    if (out.iterations % iterations_per_poll == 0 && stop.stop_requested())
      return failure(error_code::cancelled, "cancelled while cleaning");

    const std::size_t px = top.at % nx_, py = top.at / nx_;
    const Real flux = static_cast<Real>(options.gain) * residual[top.at];
    model[top.at] += flux;
    // Rows and columns where patch, PSF and image all exist: the PSF's centre lies over the peak.
    const std::size_t left = std::min({cut.half, px, nx_ / 2}),
                      right = std::min({cut.half, nx_ - 1 - px, nx_ - 1 - nx_ / 2});
    const std::size_t below = std::min({cut.half, py, ny_ / 2}),
                      above = std::min({cut.half, ny_ - 1 - py, ny_ - 1 - ny_ / 2});
    const std::size_t x0 = px - left, x1 = px + right + 1, y0 = py - below, y1 = py + above + 1;
    auto tile_rows = [&](std::size_t first, std::size_t last) {
      for (std::size_t ty = first; ty < last; ++ty)
        for (std::size_t tx = x0 / tile_side; tx <= (x1 - 1) / tile_side; ++tx) {
          const std::size_t xa = std::max(x0, tx * tile_side), xb = std::min(x1, (tx + 1) * tile_side);
          for (std::size_t y = std::max(y0, ty * tile_side); y < std::min(y1, (ty + 1) * tile_side); ++y) {
            Real* r = residual.data() + y * nx_;
            const Real* b = psf_.data() + (y + ny_ / 2 - py) * nx_ + (xa + nx_ / 2 - px);
            for (std::size_t x = xa; x < xb; ++x) r[x] -= flux * b[x - xa];
          }
          peaks.rescan(tx, ty);
        }
    };
    const std::size_t tile_first = y0 / tile_side, tile_last = (y1 - 1) / tile_side + 1;
    if ((x1 - x0) * (y1 - y0) >= pixels_for_threads)
      gpu::parallel_for(tile_last - tile_first, 4, [&](std::size_t first, std::size_t last, std::size_t) {
        tile_rows(tile_first + first, tile_first + last);
      });
    else
      tile_rows(tile_first, tile_last);

    ++out.iterations;
    top = peaks.highest();
    lowest = std::min(lowest, top.height);
    if (!std::isfinite(top.height) || top.height > 1.5 * lowest) {
      out.why = clean_end::diverged;
      break;
    }
  }
  out.peak_last = top.height;
  return out;
}

template class minor_cycle<float>;
template class minor_cycle<double>;

}  // namespace horizons::imaging
