/* Convolutions by the matrix unit, and by vectors; what both are made of. */
#ifndef KERAS16_CONVOLUTIONS_H
#define KERAS16_CONVOLUTIONS_H

#include "kernels.h"
#include "vectors.h"

typedef uint16_t half;

/* As `convolve`, `convolve_back` and `kernel_gradient`. */
int tile_convolve(const convolution *c, const half *x, const half *kernel, half *y);
int tile_convolve_back(const convolution *c, const half *slopes, const half *kernel, half *x);
int tile_kernel_gradient(const convolution *c, const half *x, const half *slopes, half *kernel);
int vector_convolve(const convolution *c, const half *x, const half *kernel, half *y);
int vector_convolve_back(const convolution *c, const half *slopes, const half *kernel, half *x);
int vector_kernel_gradient(const convolution *c, const half *x, const half *slopes,
                           half *kernel);

static inline int parts_of(int number, int size) { return (number + size - 1) / size; }
static inline int blocks(int channels) { return parts_of(channels, LANES); }
static inline int at_least(int a, int b) { return a > b ? a : b; }
static inline int at_most(int a, int b) { return a < b ? a : b; }
static inline int floor_of(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

/* Rows become columns: 16 x 16 words. */
static inline void transpose(__m512i r[LANES]) {
    __m512i t[LANES];
    for (int i = 0; i < LANES; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < LANES; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (int i = 0; i < 8; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    }
}

/* Up to 16 inputs by up to 16 outputs of a kernel, an input a row. One from the next they
 * lie so many numbers apart, one of them a single one. */
static inline void read_square(const half *from, size_t of_input, size_t of_output, int inputs,
                               int outputs, __m512 rows[LANES]) {
    int across = of_output == 1; /* else inputs lie side by side */
    __mmask16 lanes = lanes_at(across ? outputs : inputs, 0);
    for (int i = 0; i < LANES; i++)
        rows[i] = i < (across ? inputs : outputs)
                      ? loaded(from + i * (across ? of_input : of_output), lanes)
                      : _mm512_setzero_ps();
    if (!across) transpose((__m512i *)rows);
}

#endif
