/* Float16 numbers in a register: sixteen as float32, and back, or 32 as they are. */
#ifndef KERAS16_VECTORS_H
#define KERAS16_VECTORS_H

#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,f16c,amx-tile,amx-bf16")

#include <immintrin.h>
#include <stdint.h>

enum {
    LANES = 16,           /* float32 of a register */
    WORDS = 32,           /* float16 of it, where they are compared or moved */
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

/* The lanes that are filled from the first of them on; of none left, none. */
static inline __mmask16 lanes_at(int channels, int first) {
    int left = channels - first;
    if (left >= LANES) return 0xffff;
    return left > 0 ? (__mmask16)((1u << left) - 1) : 0;
}

/* The words that are filled where so many numbers are left. */
static inline __mmask32 words_at(int64_t left) {
    return left >= WORDS ? 0xffffffff : (__mmask32)((1ull << left) - 1);
}

static inline __m512 loaded(const uint16_t *from, __mmask16 lanes) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, from));
}

/* Numbers of float64 of sixteen lanes. */
typedef struct {
    __m512d low, high;
} pair;

static inline pair widened(__m512 x) {
    return (pair){_mm512_cvtps_pd(_mm512_castps512_ps256(x)),
                  _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1))};
}

/* Rounded to the nearest, and the even one of two. */
static inline __m256i rounded(__m512 x) {
    return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
}

static inline void put(uint16_t *to, __mmask16 lanes, __m512 x) {
    _mm256_mask_storeu_epi16(to, lanes, rounded(x));
}

#endif
