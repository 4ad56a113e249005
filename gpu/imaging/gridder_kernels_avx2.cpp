// The gridder's hot loops for AVX2+FMA; see gridder_kernels.ipp. Empty on other architectures.
#ifdef HORIZONS_X86_KERNELS
#define HORIZONS_KERNELS kernels_avx2
#define HORIZONS_KERNELS_NAME "avx2"
#define HORIZONS_VECTOR_BYTES 32
#include "gpu/imaging/gridder_kernels.ipp"
#endif
