// Statistics that a few bright sources do not upset. Non-finite pixels (blanks) are left out.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace horizons::imaging {

struct robust_statistics {
  double median = 0;
  double rms = 0;  // 1.4826 times the median absolute deviation: the standard deviation of Gaussian noise
};

/// Of at most `samples_max` pixels, evenly taken (an error of 0.1 % on the rms at 2 million).
robust_statistics robust_of(std::span<const float> pixels, std::size_t samples_max = 2'000'000);
robust_statistics robust_of(std::span<const double> pixels, std::size_t samples_max = 2'000'000);

/// As above, of values that may be reordered and overwritten.
robust_statistics robust_in_place(std::vector<float>& values);

/// The values below which the given fractions (0…1, each) of the finite pixels lie.
std::vector<float> quantiles(std::span<const float> pixels, std::span<const double> fractions,
                             std::size_t samples_max = 2'000'000);

}  // namespace horizons::imaging
