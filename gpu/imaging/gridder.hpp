// Gridding and degridding with w-terms, to a requested accuracy.
//
// Improved w-stacking (Arras, Reinecke, Westermann & Ensslin 2021, A&A 646, A58): visibilities are convolved in
// u, v and w with an "exponential of semicircle" kernel (Barnett, Magland & af Klinteberg 2019) onto a stack of
// w-planes, each is Fourier transformed, corrected by its w-screen, summed, and the kernel divided out.
// Degridding is the exact adjoint. The direct Fourier transform in dft.hpp is the slow, obvious twin.
#pragma once

#include <complex>
#include <cstddef>
#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "gpu/imaging/geometry.hpp"
#include "messages/result.hpp"

namespace horizons::imaging {

struct gridding_options {
  double accuracy = 1e-4;  // relative rms against the direct transform: 1e-2 ... 2e-6 (float), 1e-12 (double)
  bool w_terms = true;     // false: w is taken as 0 (a planar approximation, for narrow fields)
};

/// What a plan decided, for reports and benchmarks.
struct gridding_plan {
  int kernel_support = 0;   // cells, in u, v and w
  double oversampling = 0;  // padded grid / image
  std::size_t grid_nx = 0, grid_ny = 0;
  std::size_t w_planes = 0;  // 1 without w-terms
};

/// Plans once for a set of samples (sorting, kernel choice), then grids and degrids many times: major cycles
/// reuse the sort. Precision is that of Real throughout, coordinates are double.
template <class Real>
class gridder {
public:
  /// `mask` [rows][channels], 0 = ignore the sample in both directions; empty = use all.
  /// Fails with invalid_argument for an impossible geometry, accuracy beyond Real, non-finite uvw or frequency,
  /// or a grid beyond memory_max_bytes, with cancelled when `stop` is requested.
  static result<gridder> make(image_geometry image, uv_coverage coverage, std::span<const unsigned char> mask,
                              gridding_options options, std::size_t memory_max_bytes = std::size_t{16} << 30,
                              std::stop_token stop = {});

  /// dirty[y][x] = sum over samples of Re(weight * vis * exp(+2 pi i (u l + v m + w (n-1)) f/c)) : the adjoint
  /// of degrid, NOT normalised (divide by the sum of weights for Jy/beam) and without any 1/n factor.
  /// `weight` empty = 1. Visibilities and weights of unmasked samples must be finite: flag (mask) others first, one
  /// NaN spoils the whole image. Fails with `cancelled` when `stop` is requested (polled at least every ~100 ms).
  result<std::vector<Real>> grid(std::span<const std::complex<Real>> vis, std::span<const Real> weight,
                                 std::stop_token stop = {}) const;

  /// vis = sum over pixels of image * exp(-2 pi i (u l + v m + w (n-1)) f/c), zero where masked.
  result<std::vector<std::complex<Real>>> degrid(std::span<const Real> image, std::stop_token stop = {}) const;

  const gridding_plan& plan() const;

  gridder(gridder&&) noexcept;
  gridder& operator=(gridder&&) noexcept;
  ~gridder();

private:
  struct state;
  explicit gridder(std::unique_ptr<state> s);
  std::unique_ptr<state> state_;
};

extern template class gridder<float>;
extern template class gridder<double>;

}  // namespace horizons::imaging
