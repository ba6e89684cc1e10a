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

/* Rows become columns. */
static inline void transpose(numbers r[LANES]) {
    numbers t[LANES];
    for (int i = 0; i < LANES; i += 2)
        t[i] = n_firsts(r[i], r[i + 1]), t[i + 1] = n_lasts(r[i], r[i + 1]);
    for (int i = 0; i < LANES; i += 4)
        for (int j = 0; j < 2; j++) {
            r[i + 2 * j] = n_first_pairs(t[i + j], t[i + j + 2]);
            r[i + 2 * j + 1] = n_last_pairs(t[i + j], t[i + j + 2]);
        }
    /* Blocks of four lanes: of eight rows, and then of sixteen. */
    for (int i = 0; i < LANES; i += 8)
        for (int j = i; j < i + 4; j++)
            t[j] = n_even_blocks(r[j], r[j + 4]), t[j + 4] = n_odd_blocks(r[j], r[j + 4]);
    const int far = LANES == 16 ? 8 : 0;
    for (int i = 0; i < 8; i++) {
        r[i] = far ? n_even_blocks(t[i], t[i + far]) : t[i];
        if (far) r[i + far] = n_odd_blocks(t[i], t[i + far]);
    }
}

/* As many inputs and outputs of a kernel as there are lanes, an input a row. One from the
 * next they lie so many numbers apart, one of them a single one. */
static inline void read_square(const half *from, size_t of_input, size_t of_output, int inputs,
                               int outputs, numbers rows[LANES]) {
    int across = of_output == 1; /* else inputs lie side by side */
    filled lanes = lanes_at(across ? outputs : inputs, 0);
    for (int i = 0; i < LANES; i++)
        rows[i] = i < (across ? inputs : outputs)
                      ? loaded(from + i * (across ? of_input : of_output), lanes)
                      : n_zero();
    if (!across) transpose(rows);
}

#endif
