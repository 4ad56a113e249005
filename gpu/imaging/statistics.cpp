#include "gpu/imaging/statistics.hpp"

#include <algorithm>
#include <cmath>

namespace horizons::imaging {
namespace {

template <class Real>
std::vector<float> sample(std::span<const Real> pixels, std::size_t samples_max) {
  // An odd stride walks through all columns of an image even when its width is a power of two.
  const std::size_t stride = pixels.size() <= samples_max ? 1 : (pixels.size() / samples_max + 1) | 1;
  std::vector<float> values;
  values.reserve(pixels.size() / stride + 1);
  for (std::size_t i = 0; i < pixels.size(); i += stride)
    if (std::isfinite(pixels[i])) values.push_back(static_cast<float>(pixels[i]));
  return values;
}

double median_of(std::vector<float>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (static_cast<double>(*middle) + *std::max_element(values.begin(), middle)) / 2;
}

}  // namespace

robust_statistics robust_in_place(std::vector<float>& values) {
  if (values.empty()) return {};
  robust_statistics out;
  out.median = median_of(values);
  for (float& v : values) v = static_cast<float>(std::abs(v - out.median));
  out.rms = 1.482602218505602 * median_of(values);
  return out;
}

robust_statistics robust_of(std::span<const float> pixels, std::size_t samples_max) {
  auto values = sample(pixels, samples_max);
  return robust_in_place(values);
}

robust_statistics robust_of(std::span<const double> pixels, std::size_t samples_max) {
  auto values = sample(pixels, samples_max);
  return robust_in_place(values);
}

std::vector<float> quantiles(std::span<const float> pixels, std::span<const double> fractions,
                             std::size_t samples_max) {
  auto values = sample(pixels, samples_max);
  std::sort(values.begin(), values.end());
  std::vector<float> out;
  for (double f : fractions)
    out.push_back(
        values.empty()
            ? 0.0F
            : values[static_cast<std::size_t>(std::clamp(f, 0.0, 1.0) * static_cast<double>(values.size() - 1))]);
  return out;
}

}  // namespace horizons::imaging
