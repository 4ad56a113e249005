// The gridder's hot loops for any CPU of the architecture; see gridder_kernels.ipp.
#define HORIZONS_KERNELS kernels_baseline
#define HORIZONS_KERNELS_NAME "baseline"
#define HORIZONS_VECTOR_BYTES 16
#include "gpu/imaging/gridder_kernels.ipp"
