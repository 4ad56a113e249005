// Random numbers that are the same on every machine: std::mt19937_64 is fixed by the standard, its distributions are
// not.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>

namespace horizons::observations {

class random_stream {
public:
  /// `purpose` keeps streams of one seed apart: more sources do not change the noise.
  random_stream(std::uint64_t seed, std::uint64_t purpose) : engine_(mixed(seed ^ mixed(purpose))) {}

  /// In [0, 1).
  double uniform() { return static_cast<double>(engine_() >> 11U) * 0x1p-53; }

  /// Mean 0, variance 1 (Box & Muller 1958).
  double normal() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    const double radius = std::sqrt(-2 * std::log(1 - uniform())), angle = 2 * std::numbers::pi * uniform();
    spare_ = radius * std::sin(angle);
    has_spare_ = true;
    return radius * std::cos(angle);
  }

private:
  /// splitmix64: neighbouring seeds give unrelated engines.
  static std::uint64_t mixed(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31U);
  }

  std::mt19937_64 engine_;
  double spare_ = 0;
  bool has_spare_ = false;
};

}  // namespace horizons::observations
