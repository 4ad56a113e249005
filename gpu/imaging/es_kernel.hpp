// The "exponential of semicircle" gridding kernel: its shape for a requested accuracy, its piecewise polynomials
// and its Fourier transform. It knows nothing of grids or samples.
#pragma once

#include <vector>

namespace horizons::imaging {

inline constexpr int kernel_support_min = 3;
inline constexpr int kernel_support_max = 16;

/// phi(z) = exp(beta (sqrt(1 - z^2) - 1)) on |z| <= 1, stretched over `support` cells
/// (Barnett, Magland & af Klinteberg 2019, SIAM J. Sci. Comput. 41, C479).
struct es_shape {
  int support = 0;
  double beta = 0;
  double error = 0;  // largest relative aliasing error per axis anywhere in the image
};

/// The best beta for a support in cells and an oversampling (padded grid / image, 1.1 to 4), and the error
/// that it leaves. Remembers its answers; thread-safe.
es_shape best_shape(int support, double oversampling);

/// The kernel as the gridder evaluates it: for a sample whose first cell lies `delta` in [0, 1) beyond the edge
/// of the kernel, cell k has weight sum_d tap(d, k) x^d with x = 2 delta - 1. This, not the exponential, is *the*
/// kernel: transform() is its transform, so that polynomial errors cancel in the correction.
class es_kernel {
public:
  explicit es_kernel(es_shape shape);

  int support() const { return shape_.support; }
  static constexpr int degree_for(int support) { return support + 3; }
  int degree() const { return degree_for(shape_.support); }

  /// Coefficient of x^power in the weight of cell k.
  double tap(int power, int k) const { return taps_[static_cast<std::size_t>(power * shape_.support + k)]; }

  /// Fourier transform at t cycles per cell: integral of phi(s) cos(2 pi s t) ds, by Gauss-Legendre quadrature.
  double transform(double t) const;

private:
  es_shape shape_;
  std::vector<double> taps_;    // [degree + 1][support]
  std::vector<double> offset_;  // quadrature: distance from the kernel's centre, in cells
  std::vector<double> value_;   // quadrature: kernel times quadrature weight
};

/// Nodes and weights of Gauss-Legendre quadrature on [0, 1].
void gauss_legendre(std::vector<double>& nodes, std::vector<double>& weights, int n);

/// Coefficients c of a polynomial sum_d c[d] x^d through f at the n Chebyshev points of [-1, 1].
template <class Function>
std::vector<double> chebyshev_fit(int n, Function f);

}  // namespace horizons::imaging

#include <cmath>
#include <cstddef>
#include <numbers>

template <class Function>
std::vector<double> horizons::imaging::chebyshev_fit(int n, Function f) {
  std::vector<double> sample(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) sample[i] = f(std::cos(std::numbers::pi * (i + 0.5) / n));
  // Sum of c_j T_j(x), expanded into powers of x with T_j+1 = 2 x T_j - T_j-1.
  std::vector<long double> power(n), before(n), now(n);
  now[0] = 1;
  for (int j = 0; j < n; ++j) {
    long double c = 0;
    for (int i = 0; i < n; ++i) c += sample[i] * std::cos(std::numbers::pi_v<long double> * j * (i + 0.5L) / n);
    c *= (j == 0 ? 1.0L : 2.0L) / n;
    for (int d = 0; d < n; ++d) power[d] += c * now[d];
    std::vector<long double> next(n);
    for (int d = 0; d < n; ++d) next[d] = (j == 0 ? 1 : 2) * (d > 0 ? now[d - 1] : 0) - (j == 0 ? 0 : before[d]);
    before = now;
    now = next;
  }
  return {power.begin(), power.end()};
}
