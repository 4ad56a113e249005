#include "gpu/imaging/es_kernel.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <numbers>
#include <numeric>
#include <utility>

namespace horizons::imaging {
namespace {

constexpr int nodes_per_cell = 24;  // exact for the taps' polynomials times the cosine of the farthest alias
constexpr int aliases = 4;          // on either side; further ones are weaker by orders of magnitude
constexpr int band_points = 33;     // where in the image the error is looked at: with fewer, minima hide between them
constexpr int scan_points = 12;     // beta in steps of about 1 %
constexpr int search_steps = 8;     // golden section from there: beta to 0.05 %

double es(double z, double beta) { return std::exp(beta * (std::sqrt(std::max(0.0, 1 - z * z)) - 1)); }

/// Aliasing of kernels of one support in an image of one oversampling, for many beta: whatever does not depend on
/// beta is computed once. It judges the polynomials, not the exponential: at low oversampling the square root at the
/// kernel's ends, which polynomials follow badly, is part of the error.
class aliasing {
public:
  aliasing(int support, double oversampling) : support_(support), points_(es_kernel::degree_for(support) + 1) {
    std::vector<double> node, weight;
    gauss_legendre(node, weight, nodes_per_cell);
    for (int i = 0; i < points_; ++i) point_.push_back(std::cos(std::numbers::pi * (i + 0.5) / points_));
    for (int q = 0; q < nodes_per_cell; ++q)  // Lagrange's polynomials through the points, at the nodes
      for (int i = 0; i < points_; ++i) {
        double value = weight[q];
        for (int j = 0; j < points_; ++j)
          if (j != i) value *= (2 * node[q] - 1 - point_[j]) / (point_[i] - point_[j]);
        basis_.push_back(value);
      }
    for (int i = 0; i < band_points; ++i)
      for (int alias = -aliases; alias <= aliases; ++alias) {
        const double t = 0.5 / oversampling * i / (band_points - 1) + alias;
        for (int k = 0; k < support; ++k)
          for (const double x : node) wave_.push_back(std::cos(2 * std::numbers::pi * t * (x + k - support / 2.0)));
      }
  }

  /// Largest over the image: sqrt(sum of the squared aliases) / signal.
  double operator()(double beta) const {
    std::vector<double> kernel;
    for (int k = 0; k < support_; ++k) {
      std::vector<double> value;
      for (const double x : point_) value.push_back(es((x + 1 + 2 * k) / support_ - 1, beta));
      for (int q = 0; q < nodes_per_cell; ++q)
        kernel.push_back(std::inner_product(value.begin(), value.end(), basis_.begin() + q * points_, 0.0));
    }
    double worst = 0;
    auto wave = wave_.begin();
    for (int i = 0; i < band_points; ++i) {
      double leak = 0, signal = 0;
      for (int alias = -aliases; alias <= aliases; ++alias) {
        const double power = std::pow(std::inner_product(kernel.begin(), kernel.end(), wave, 0.0), 2);
        (alias == 0 ? signal : leak) += power;
        wave += support_ * nodes_per_cell;
      }
      worst = std::max(worst, std::sqrt(leak / signal));
    }
    return worst;
  }

private:
  int support_, points_;
  std::vector<double> point_, basis_, wave_;
};

es_shape search(int support, double oversampling) {
  const aliasing error_of(support, oversampling);
  const double natural = std::numbers::pi * support * (1 - 0.5 / oversampling);  // Barnett et al. 2019, eq. 4.5
  const double golden = (std::sqrt(5.0) - 1) / 2;
  // The error has several shallow minima (zeros of the transform passing by): look around before closing in.
  const double step = 0.16 * natural / scan_points;
  double best = 0, best_error = 1e300;
  for (int i = 0; i <= scan_points; ++i) {
    const double beta = 0.86 * natural + i * step;
    const double error = error_of(beta);
    if (error < best_error) best = beta, best_error = error;
  }
  double low = best - step, high = best + step;
  double inner = high - golden * (high - low), outer = low + golden * (high - low);
  double error_inner = error_of(inner), error_outer = error_of(outer);
  for (int i = 0; i < search_steps; ++i) {
    if (error_inner < error_outer) {
      high = std::exchange(outer, inner);
      error_outer = error_inner;
      inner = high - golden * (high - low);
      error_inner = error_of(inner);
    } else {
      low = std::exchange(inner, outer);
      error_inner = error_outer;
      outer = low + golden * (high - low);
      error_outer = error_of(outer);
    }
  }
  return error_inner < error_outer ? es_shape{support, inner, error_inner} : es_shape{support, outer, error_outer};
}

}  // namespace

void gauss_legendre(std::vector<double>& nodes, std::vector<double>& weights, int n) {
  nodes.resize(static_cast<std::size_t>(n));
  weights.resize(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) {
    double x = std::cos(std::numbers::pi * (i + 0.75) / (n + 0.5));  // near the root; Newton does the rest
    double slope = 1;
    for (int step = 0; step < 8; ++step) {
      double before = 1, now = x;
      for (int k = 2; k <= n; ++k) before = std::exchange(now, ((2 * k - 1) * x * now - (k - 1) * before) / k);
      slope = n * (x * now - before) / (x * x - 1);
      x -= now / slope;
    }
    nodes[i] = (1 - x) / 2;
    weights[i] = 1 / ((1 - x * x) * slope * slope);
  }
}

es_shape best_shape(int support, double oversampling) {
  static std::mutex mutex;
  static std::map<std::pair<int, int>, es_shape> known;
  // Rounded down, to the safe side.
  const int twentieths = static_cast<int>(std::floor(std::clamp(oversampling, 1.1, 4.0) * 20 + 1e-9));
  std::lock_guard lock(mutex);
  auto& shape = known[{support, twentieths}];
  if (shape.support == 0) shape = search(support, twentieths / 20.0);
  return shape;
}

es_kernel::es_kernel(es_shape shape) : shape_(shape) {
  const int w = shape.support;
  taps_.resize(static_cast<std::size_t>((degree() + 1) * w));
  std::vector<double> node, weight;
  gauss_legendre(node, weight, nodes_per_cell);
  for (int k = 0; k < w; ++k) {
    const auto fit = chebyshev_fit(degree() + 1, [&](double x) { return es((x + 1 + 2 * k) / w - 1, shape.beta); });
    for (int d = 0; d <= degree(); ++d) taps_[d * w + k] = fit[d];
    for (int i = 0; i < nodes_per_cell; ++i) {
      const double x = 2 * node[i] - 1;
      double value = 0;
      for (int d = degree(); d >= 0; --d) value = value * x + fit[d];
      offset_.push_back(node[i] + k - w / 2.0);
      value_.push_back(value * weight[i]);
    }
  }
}

double es_kernel::transform(double t) const {
  double sum = 0;
  for (std::size_t i = 0; i < offset_.size(); ++i) sum += value_[i] * std::cos(2 * std::numbers::pi * offset_[i] * t);
  return sum;
}

}  // namespace horizons::imaging
