/* Which kernels compute convolutions here. */
#include "convolutions.h"

int convolve(const convolution *c, const half *x, const half *kernel, half *y) {
    return (has_matrix_unit() ? tile_convolve : vector_convolve)(c, x, kernel, y);
}

int convolve_back(const convolution *c, const half *slopes, const half *kernel, half *x) {
    return (has_matrix_unit() ? tile_convolve_back : vector_convolve_back)(c, slopes, kernel, x);
}

int kernel_gradient(const convolution *c, const half *x, const half *slopes, half *kernel) {
    return (has_matrix_unit() ? tile_kernel_gradient : vector_kernel_gradient)(c, x, slopes,
                                                                                kernel);
}
