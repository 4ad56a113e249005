// The gridder's hot loops for AVX-512; see gridder_kernels.ipp. Empty on other architectures.
#ifdef HORIZONS_X86_KERNELS
#define HORIZONS_KERNELS kernels_avx512
#define HORIZONS_KERNELS_NAME "avx512"
#define HORIZONS_VECTOR_BYTES 64
#include "gpu/imaging/gridder_kernels.ipp"
#endif
