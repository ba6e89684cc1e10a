/* Float16 numbers in a register, of whichever kind the CPU has: as float32, and back, or
 * twice as many as they are. What works on them begins with what they are: n_ float32, d_
 * float64, i_ whole numbers of 32 bits, s_ of 16, h_ float16.
 */
#ifndef KERAS16_VECTORS_H
#define KERAS16_VECTORS_H

#ifdef KERAS16_AVX2
#include "avx2.h"
#else
#include "avx512.h"
#endif

enum {
    RANGES = 16,          /* of what is summed, at least: each has its own sums */
    LONGEST_RANGE = 8192, /* rows; float32 loses nothing that float16 would show */
};

/* Channels in whole vectors. */
static inline int whole_vectors(int channels) { return (channels + LANES - 1) / LANES * LANES; }

/* How many ranges there are of so many rows, on any number of cores. */
static inline int ranges_of(int64_t rows) {
    int64_t ranges = (rows + LONGEST_RANGE - 1) / LONGEST_RANGE;
    return (int)(ranges > RANGES ? ranges : RANGES);
}

static inline numbers loaded(const uint16_t *from, filled lanes) {
    return h_numbers(h_load(from, lanes));
}

/* Rounded to the nearest, and the even one of two. */
static inline void put(uint16_t *to, filled lanes, numbers x) { h_store(to, lanes, rounded(x)); }

/* Numbers of float64, of all lanes. */
typedef struct {
    doubles low, high;
} pair;

static inline pair widened(numbers x) { return (pair){d_low(x), d_high(x)}; }

static inline numbers narrowed(pair of) { return d_numbers(of.low, of.high); }

#endif
