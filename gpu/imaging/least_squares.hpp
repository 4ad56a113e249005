// Levenberg-Marquardt for a handful of parameters: the fits of beams and sources. Not for large problems: the normal
// equations are formed and solved densely.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace horizons::imaging {

struct fit_outcome {
  bool converged = false;
  double sum_of_squares = 0;
  int iterations = 0;
};

/// Solves A x = b in place (A symmetric positive definite, row major, destroyed; b becomes x). False: not definite.
inline bool solve_cholesky(std::span<double> a, std::span<double> b) {
  const std::size_t n = b.size();
  for (std::size_t j = 0; j < n; ++j) {
    for (std::size_t i = j; i < n; ++i) {
      double sum = a[i * n + j];
      for (std::size_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      if (i == j) {
        if (!(sum > 0) || !std::isfinite(sum)) return false;
        a[j * n + j] = std::sqrt(sum);
      } else {
        a[i * n + j] = sum / a[j * n + j];
      }
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < i; ++k) b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k) b[i] -= a[k * n + i] * b[k];
    b[i] /= a[i * n + i];
  }
  return true;
}

/// Minimises sum over i < count of residual(i)^2, starting from and returning in `p`.
/// `residual(i, p, gradient)` returns model - data and fills d residual / d p; `valid(p)` tells whether a trial makes
/// sense. Marquardt's scaling (damping times the diagonal), at most `iterations_max` accepted or rejected steps.
template <class Residual, class Valid>
fit_outcome fit_least_squares(std::vector<double>& p, std::size_t count, Residual&& residual, Valid&& valid,
                              int iterations_max = 60) {
  const std::size_t n = p.size();
  std::vector<double> gradient(n), normal(n * n), damped(n * n), step(n), right(n), trial(n);
  auto cost_of = [&](const std::vector<double>& at, bool with_normal) {
    double cost = 0;
    if (with_normal) normal.assign(n * n, 0), right.assign(n, 0);
    for (std::size_t i = 0; i < count; ++i) {
      const double r = residual(i, at, std::span<double>(gradient));
      cost += r * r;
      if (!with_normal) continue;
      for (std::size_t j = 0; j < n; ++j) {
        right[j] -= gradient[j] * r;
        for (std::size_t k = 0; k <= j; ++k) normal[j * n + k] += gradient[j] * gradient[k];
      }
    }
    return cost;
  };

  fit_outcome out;
  double damping = 1e-3;
  out.sum_of_squares = cost_of(p, true);
  for (; out.iterations < iterations_max; ++out.iterations) {
    damped = normal;
    for (std::size_t j = 0; j < n; ++j) damped[j * n + j] *= 1 + damping;
    step = right;
    double cost = 0;
    bool better = false;
    if (solve_cholesky(damped, step)) {
      for (std::size_t j = 0; j < n; ++j) trial[j] = p[j] + step[j];
      if (valid(trial)) {
        cost = cost_of(trial, false);
        better = std::isfinite(cost) && cost <= out.sum_of_squares;
      }
    }
    if (!better) {
      damping *= 10;
      if (damping > 1e12) {  // no direction improves: the minimum, to rounding
        out.converged = true;
        break;
      }
      continue;
    }
    const bool settled = out.sum_of_squares - cost <= 1e-12 * out.sum_of_squares;
    p = trial;
    out.sum_of_squares = cost;
    if (settled) {
      out.converged = true;
      break;
    }
    damping = std::max(damping / 10, 1e-12);
    cost_of(p, true);
  }
  return out;
}

}  // namespace horizons::imaging
