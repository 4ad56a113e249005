// Chooses the gridder's hot loops for the CPU that runs.
#include <cstdlib>
#include <string_view>

#include "gpu/imaging/gridder_kernels.hpp"

namespace horizons::imaging {

template <class Real>
const gridder_kernels<Real>& kernels_for_this_cpu() {
  const char* text = std::getenv("HORIZONS_SIMD");
  [[maybe_unused]] const std::string_view asked = text ? text : "";
#ifdef HORIZONS_X86_KERNELS
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
  if (avx512 && asked != "avx2" && asked != "baseline") return kernels_avx512(Real{});
  if (avx2 && asked != "baseline") return kernels_avx2(Real{});
#endif
  return kernels_baseline(Real{});
}

template const gridder_kernels<float>& kernels_for_this_cpu();
template const gridder_kernels<double>& kernels_for_this_cpu();

}  // namespace horizons::imaging
