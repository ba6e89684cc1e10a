/* Which kernels compute convolutions here. */
#include "convolutions.h"

#if HAS_TILES
#define BEST(KIND) (has_matrix_unit() ? tile_##KIND : vector_##KIND)
#else
#define BEST(KIND) vector_##KIND
#endif

int convolve(const convolution *c, const half *x, const half *kernel, half *y) {
    return BEST(convolve)(c, x, kernel, y);
}

int convolve_back(const convolution *c, const half *slopes, const half *kernel, half *x) {
    return BEST(convolve_back)(c, slopes, kernel, x);
}

int kernel_gradient(const convolution *c, const half *x, const half *slopes, half *kernel) {
    return BEST(kernel_gradient)(c, x, slopes, kernel);
}
