/* Vectors of sixteen float32 in a register of AVX-512. */
#ifndef KERAS16_AVX512_H
#define KERAS16_AVX512_H

#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,f16c,amx-tile,amx-bf16")

#include <immintrin.h>
#include <stdint.h>

enum {
    LANES = 16, /* float32 of a register */
    WORDS = 32, /* float16 of it, where they are compared or moved */
};
#define REGISTERS 32 /* that there are */
#define HAS_TILES 1  /* on some of these CPUs */

typedef __m512 numbers;      /* float32 */
typedef __m512d doubles;     /* half as many float64 */
typedef __m512i integers;    /* 32 bits */
typedef __m256i halves;      /* float16, as many as there are lanes */
typedef __m512i shorts;      /* float16 as whole numbers, twice as many */
typedef __mmask16 filled;    /* lanes from the first on */
typedef __mmask32 filled_shorts;
typedef __mmask16 chosen;    /* any lanes */
typedef __mmask32 chosen_shorts;

static const filled ALL = 0xffff;

/* The lanes that are filled from the first of them on; of none left, none. */
static inline filled lanes_at(int channels, int first) {
    int left = channels - first;
    if (left >= LANES) return ALL;
    return left > 0 ? (filled)((1u << left) - 1) : 0;
}

/* The words that are filled where so many numbers are left. */
static inline filled_shorts words_at(int64_t left) {
    return left >= WORDS ? 0xffffffff : (filled_shorts)((1ull << left) - 1);
}

/* ---- float16 ---------------------------------------------------------------------- */

static inline halves h_load(const uint16_t *from, filled lanes) {
    return _mm256_maskz_loadu_epi16(lanes, from);
}
static inline void h_store(uint16_t *to, filled lanes, halves x) {
    _mm256_mask_storeu_epi16(to, lanes, x);
}
static inline numbers h_numbers(halves x) { return _mm512_cvtph_ps(x); }
static inline integers h_integers(halves x) { return _mm512_cvtepi16_epi32(x); } /* signed */
/* Rounded to the nearest, and the even one of two. */
static inline halves rounded(numbers x) { return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT); }

/* ---- float32 ---------------------------------------------------------------------- */

static inline numbers n_zero(void) { return _mm512_setzero_ps(); }
static inline numbers n_all(float x) { return _mm512_set1_ps(x); }
static inline numbers n_load(const float *from) { return _mm512_loadu_ps(from); }
static inline void n_store(float *to, numbers x) { _mm512_storeu_ps(to, x); }
static inline numbers n_add(numbers a, numbers b) { return _mm512_add_ps(a, b); }
static inline numbers n_sub(numbers a, numbers b) { return _mm512_sub_ps(a, b); }
static inline numbers n_mul(numbers a, numbers b) { return _mm512_mul_ps(a, b); }
static inline numbers n_div(numbers a, numbers b) { return _mm512_div_ps(a, b); }
/* a b + c, and c - a b, rounded once. */
static inline numbers n_fma(numbers a, numbers b, numbers c) { return _mm512_fmadd_ps(a, b, c); }
static inline numbers n_fnma(numbers a, numbers b, numbers c) { return _mm512_fnmadd_ps(a, b, c); }
/* The second one where one of them is no number. */
static inline numbers n_max(numbers a, numbers b) { return _mm512_max_ps(a, b); }
static inline numbers n_min(numbers a, numbers b) { return _mm512_min_ps(a, b); }
static inline numbers n_abs(numbers x) { return _mm512_abs_ps(x); }
static inline numbers n_sqrt(numbers x) { return _mm512_sqrt_ps(x); }
static inline numbers n_whole(numbers x) { /* the nearest one */
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT);
}
static inline numbers n_with_sign(numbers size, numbers of) {
    return _mm512_or_ps(size, _mm512_and_ps(of, _mm512_set1_ps(-0.0f)));
}
/* x 2**power for a whole power; x is 0, or between 2**-100 and 2**100. */
static inline numbers n_scale(numbers x, numbers power) { return _mm512_scalef_ps(x, power); }
static inline float n_highest(numbers x) { return _mm512_reduce_max_ps(x); }
static inline float n_sum(numbers x) { return _mm512_reduce_add_ps(x); }

#define n_compare(a, b, how) _mm512_cmp_ps_mask(a, b, how) /* chosen */
static inline numbers n_where(chosen of, numbers yes, numbers no) {
    return _mm512_mask_mov_ps(no, of, yes);
}
static inline numbers n_where_or_0(chosen of, numbers yes) { return _mm512_maskz_mov_ps(of, yes); }

/* In each block of four lanes: the first two of a and b in turn, the last two, and the
 * same by pairs. */
static inline numbers n_firsts(numbers a, numbers b) { return _mm512_unpacklo_ps(a, b); }
static inline numbers n_lasts(numbers a, numbers b) { return _mm512_unpackhi_ps(a, b); }
static inline numbers n_first_pairs(numbers a, numbers b) {
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}
static inline numbers n_last_pairs(numbers a, numbers b) {
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}
/* Every other block of four lanes: of a, then of b. */
static inline numbers n_even_blocks(numbers a, numbers b) {
    return _mm512_shuffle_f32x4(a, b, 0x88);
}
static inline numbers n_odd_blocks(numbers a, numbers b) {
    return _mm512_shuffle_f32x4(a, b, 0xdd);
}

/* A random share of 1, cut off after 24 bits. */
static inline numbers n_share(integers random) {
    enum { ZERO = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC };
    return _mm512_mul_ps(_mm512_cvt_roundepu32_ps(random, ZERO), _mm512_set1_ps(0x1p-32f));
}
/* size + share x place, cut off to a whole number of places, a power of two, of which there
 * are fewer than 2**23. */
static inline numbers n_cut(numbers size, numbers share, numbers place) {
    enum { ZERO = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC };
    /* Times its place, a float32 holds no fractions. */
    numbers whole = _mm512_mul_ps(place, _mm512_set1_ps(0x1p23f));
    numbers sum = _mm512_fmadd_round_ps(share, place, size, ZERO);
    return _mm512_sub_ps(_mm512_add_round_ps(sum, whole, ZERO), whole);
}

/* ---- float64 ---------------------------------------------------------------------- */

static inline doubles d_zero(void) { return _mm512_setzero_pd(); }
static inline doubles d_all(double x) { return _mm512_set1_pd(x); }
static inline doubles d_load(const double *from) { return _mm512_loadu_pd(from); }
static inline void d_store(double *to, doubles x) { _mm512_storeu_pd(to, x); }
static inline doubles d_add(doubles a, doubles b) { return _mm512_add_pd(a, b); }
static inline doubles d_fma(doubles a, doubles b, doubles c) { return _mm512_fmadd_pd(a, b, c); }
static inline double d_sum(doubles x) { return _mm512_reduce_add_pd(x); }
static inline doubles d_low(numbers x) { return _mm512_cvtps_pd(_mm512_castps512_ps256(x)); }
static inline doubles d_high(numbers x) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)); }
static inline numbers d_numbers(doubles low, doubles high) {
    __m512 first = _mm512_castps256_ps512(_mm512_cvtpd_ps(low));
    return _mm512_insertf32x8(first, _mm512_cvtpd_ps(high), 1);
}

/* ---- whole numbers of 32 bits ----------------------------------------------------- */

static inline integers n_integers(numbers bits) { return _mm512_castps_si512(bits); }
static inline numbers i_numbers(integers bits) { return _mm512_castsi512_ps(bits); }
static inline integers i_all(int32_t x) { return _mm512_set1_epi32(x); }
static inline integers i_counted(void) { /* from 0 on */
    return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
static inline void i_store(int32_t *to, filled lanes, integers x) {
    _mm512_mask_storeu_epi32(to, lanes, x);
}
static inline integers i_add(integers a, integers b) { return _mm512_add_epi32(a, b); }
static inline integers i_sub(integers a, integers b) { return _mm512_sub_epi32(a, b); }
static inline integers i_mul(integers a, integers b) { return _mm512_mullo_epi32(a, b); }
static inline integers i_and(integers a, integers b) { return _mm512_and_si512(a, b); }
static inline integers i_or(integers a, integers b) { return _mm512_or_si512(a, b); }
static inline integers i_xor(integers a, integers b) { return _mm512_xor_si512(a, b); }
static inline integers i_max(integers a, integers b) { return _mm512_max_epi32(a, b); }
static inline integers i_min(integers a, integers b) { return _mm512_min_epi32(a, b); }
/* By zeros, and by the sign. */
static inline integers i_shifted(integers x, int by) { return _mm512_srli_epi32(x, (unsigned)by); }
static inline integers i_shifted_signed(integers x, int by) {
    return _mm512_srai_epi32(x, (unsigned)by);
}
static inline int32_t i_highest(integers x) { return _mm512_reduce_max_epi32(x); }
static inline int32_t i_lowest(integers x) { return _mm512_reduce_min_epi32(x); }
static inline chosen i_at_least(integers a, integers b) { /* without sign */
    return _mm512_cmpge_epu32_mask(a, b);
}
static inline integers i_where(chosen of, integers yes, integers no) {
    return _mm512_mask_mov_epi32(no, of, yes);
}

/* ---- lanes ------------------------------------------------------------------------ */

static inline chosen chosen_of(filled lanes) { return lanes; }
static inline chosen both(chosen a, chosen b) { return a & b; }
static inline chosen but_not(chosen a, chosen b) { return a & ~b; }
static inline chosen lane_at(int place) { /* none, if it is not one */
    return place >= 0 && place < LANES ? (chosen)(1u << place) : 0;
}
static inline int first_of(chosen lanes) { return lanes ? __builtin_ctz(lanes) : LANES; }

/* ---- whole numbers of 16 bits ----------------------------------------------------- */

static inline shorts s_zero(void) { return _mm512_setzero_si512(); }
static inline shorts s_all(int x) { return _mm512_set1_epi16((short)x); }
static inline shorts s_load(const uint16_t *from, filled_shorts of) {
    return _mm512_maskz_loadu_epi16(of, from);
}
static inline void s_store(uint16_t *to, filled_shorts of, shorts x) {
    _mm512_mask_storeu_epi16(to, of, x);
}
static inline shorts s_load_all(const uint16_t *from) { return _mm512_loadu_si512(from); }
static inline void s_store_all(uint16_t *to, shorts x) { _mm512_storeu_si512(to, x); }
static inline shorts s_add(shorts a, shorts b) { return _mm512_add_epi16(a, b); }
static inline shorts s_sub(shorts a, shorts b) { return _mm512_sub_epi16(a, b); }
static inline shorts s_and(shorts a, shorts b) { return _mm512_and_si512(a, b); }
static inline shorts s_max(shorts a, shorts b) { return _mm512_max_epi16(a, b); }
static inline shorts s_min(shorts a, shorts b) { return _mm512_min_epi16(a, b); }
static inline shorts s_max_unsigned(shorts a, shorts b) { return _mm512_max_epu16(a, b); }
static inline shorts s_min_unsigned(shorts a, shorts b) { return _mm512_min_epu16(a, b); }
static inline chosen_shorts s_equal(shorts a, shorts b) { return _mm512_cmpeq_epi16_mask(a, b); }
static inline chosen_shorts s_above(shorts a, shorts b) { return _mm512_cmpgt_epi16_mask(a, b); }
static inline chosen_shorts s_above_unsigned(shorts a, shorts b) {
    return _mm512_cmpgt_epu16_mask(a, b);
}
static inline chosen_shorts s_both(chosen_shorts a, chosen_shorts b) { return a & b; }
static inline shorts s_where(chosen_shorts of, shorts yes, shorts no) {
    return _mm512_mask_mov_epi16(no, of, yes);
}
static inline shorts s_where_or_0(chosen_shorts of, shorts yes) {
    return _mm512_maskz_mov_epi16(of, yes);
}
static inline halves s_low(shorts x) { return _mm512_castsi512_si256(x); }
static inline halves s_high(shorts x) { return _mm512_extracti64x4_epi64(x, 1); }
static inline shorts s_joined(halves low, halves high) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

#endif
