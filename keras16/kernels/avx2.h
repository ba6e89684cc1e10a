/* Vectors of eight float32 in a register of AVX2, as those of avx512.h. */
#ifndef KERAS16_AVX2_H
#define KERAS16_AVX2_H

#pragma GCC target("avx2,fma,f16c")

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 8, WORDS = 16 };
#define REGISTERS 16
#define HAS_TILES 0

typedef __m256 numbers;
typedef __m256d doubles;
typedef __m256i integers;
typedef __m128i halves;
typedef __m256i shorts;
typedef int filled; /* how many */
typedef int filled_shorts;
typedef __m256 chosen; /* all bits of a lane, or none */
typedef __m256i chosen_shorts;

static const filled ALL = LANES;

static inline filled lanes_at(int channels, int first) {
    int left = channels - first;
    return left >= LANES ? LANES : left > 0 ? left : 0;
}

static inline filled_shorts words_at(int64_t left) { return left >= WORDS ? WORDS : (int)left; }

/* ---- float16 ---------------------------------------------------------------------- */

#define APART __attribute__((noinline, cold, unused)) static /* lest each place has it */

APART halves h_load_some(const uint16_t *from, filled lanes) {
    uint16_t some[LANES] = {0};
    memcpy(some, from, sizeof(uint16_t) * (size_t)lanes);
    return _mm_loadu_si128((const __m128i *)some);
}
APART void h_store_some(uint16_t *to, filled lanes, halves x) {
    uint16_t all[LANES];
    _mm_storeu_si128((__m128i *)all, x);
    memcpy(to, all, sizeof(uint16_t) * (size_t)lanes);
}
static inline halves h_load(const uint16_t *from, filled lanes) {
    return lanes == LANES ? _mm_loadu_si128((const __m128i *)from) : h_load_some(from, lanes);
}
static inline void h_store(uint16_t *to, filled lanes, halves x) {
    if (lanes == LANES)
        _mm_storeu_si128((__m128i *)to, x);
    else
        h_store_some(to, lanes, x);
}
static inline numbers h_numbers(halves x) { return _mm256_cvtph_ps(x); }
static inline integers h_integers(halves x) { return _mm256_cvtepi16_epi32(x); }
static inline halves rounded(numbers x) { return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT); }

/* ---- float32 ---------------------------------------------------------------------- */

static inline numbers n_zero(void) { return _mm256_setzero_ps(); }
static inline numbers n_all(float x) { return _mm256_set1_ps(x); }
static inline numbers n_load(const float *from) { return _mm256_loadu_ps(from); }
static inline void n_store(float *to, numbers x) { _mm256_storeu_ps(to, x); }
static inline numbers n_add(numbers a, numbers b) { return _mm256_add_ps(a, b); }
static inline numbers n_sub(numbers a, numbers b) { return _mm256_sub_ps(a, b); }
static inline numbers n_mul(numbers a, numbers b) { return _mm256_mul_ps(a, b); }
static inline numbers n_div(numbers a, numbers b) { return _mm256_div_ps(a, b); }
static inline numbers n_fma(numbers a, numbers b, numbers c) { return _mm256_fmadd_ps(a, b, c); }
static inline numbers n_fnma(numbers a, numbers b, numbers c) { return _mm256_fnmadd_ps(a, b, c); }
static inline numbers n_max(numbers a, numbers b) { return _mm256_max_ps(a, b); }
static inline numbers n_min(numbers a, numbers b) { return _mm256_min_ps(a, b); }
static inline numbers n_abs(numbers x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
static inline numbers n_sqrt(numbers x) { return _mm256_sqrt_ps(x); }
static inline numbers n_whole(numbers x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
static inline numbers n_with_sign(numbers size, numbers of) {
    return _mm256_or_ps(size, _mm256_and_ps(of, _mm256_set1_ps(-0.0f)));
}
static inline numbers n_power_of_two(integers exponent) { /* a normal one */
    integers biased = _mm256_add_epi32(exponent, _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}
static inline numbers n_scale(numbers x, numbers power) {
    /* In two factors: they reach from 2**-100 to 2**100 to 0 and to infinity. */
    power = _mm256_max_ps(_mm256_set1_ps(-252), _mm256_min_ps(_mm256_set1_ps(254), power));
    integers all = _mm256_cvtps_epi32(power), part = _mm256_srai_epi32(all, 1);
    x = _mm256_mul_ps(x, n_power_of_two(part));
    return _mm256_mul_ps(x, n_power_of_two(_mm256_sub_epi32(all, part)));
}
static inline float n_highest(numbers x) {
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}
static inline float n_sum(numbers x) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

#define n_compare(a, b, how) _mm256_cmp_ps(a, b, how)
static inline numbers n_where(chosen of, numbers yes, numbers no) {
    return _mm256_blendv_ps(no, yes, of);
}
static inline numbers n_where_or_0(chosen of, numbers yes) { return _mm256_and_ps(of, yes); }

static inline numbers n_firsts(numbers a, numbers b) { return _mm256_unpacklo_ps(a, b); }
static inline numbers n_lasts(numbers a, numbers b) { return _mm256_unpackhi_ps(a, b); }
static inline numbers n_first_pairs(numbers a, numbers b) {
    return _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
}
static inline numbers n_last_pairs(numbers a, numbers b) {
    return _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(a), _mm256_castps_pd(b)));
}
static inline numbers n_even_blocks(numbers a, numbers b) {
    return _mm256_permute2f128_ps(a, b, 0x20);
}
static inline numbers n_odd_blocks(numbers a, numbers b) {
    return _mm256_permute2f128_ps(a, b, 0x31);
}

static inline numbers n_share(integers random) {
    /* All bits behind the first 24 that count: ones as far down as the bits beyond reach. */
    integers surplus = _mm256_srli_epi32(random, 24);
    surplus = _mm256_or_si256(surplus, _mm256_srli_epi32(surplus, 1));
    surplus = _mm256_or_si256(surplus, _mm256_srli_epi32(surplus, 2));
    surplus = _mm256_or_si256(surplus, _mm256_srli_epi32(surplus, 4));
    random = _mm256_andnot_si256(surplus, random);
    /* There is no conversion without sign: in two parts, whose sum is exact. */
    numbers high = _mm256_cvtepi32_ps(_mm256_srli_epi32(random, 16));
    numbers low = _mm256_cvtepi32_ps(_mm256_and_si256(random, _mm256_set1_epi32(0xffff)));
    return _mm256_fmadd_ps(high, _mm256_set1_ps(0x1p-16f),
                           _mm256_mul_ps(low, _mm256_set1_ps(0x1p-32f)));
}
static inline numbers n_cut(numbers size, numbers share, numbers place) {
    /* There is no rounding towards 0: one more place where share and fraction come to 1.
     * Of two numbers that do, one is at least 1/2, and 1 less it is exact. */
    const numbers one = _mm256_set1_ps(1), half = _mm256_set1_ps(0.5f);
    /* 1 over a power of two: its exponent with the other sign. */
    integers inverse = _mm256_sub_epi32(_mm256_set1_epi32(254 << 23), _mm256_castps_si256(place));
    numbers places = _mm256_mul_ps(size, _mm256_castsi256_ps(inverse));
    numbers whole = _mm256_round_ps(places, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    numbers fraction = _mm256_sub_ps(places, whole);
    chosen large = _mm256_cmp_ps(share, half, _CMP_GE_OQ);
    chosen more = _mm256_blendv_ps(
        _mm256_cmp_ps(share, _mm256_sub_ps(one, fraction), _CMP_GE_OQ),
        _mm256_cmp_ps(fraction, _mm256_sub_ps(one, share), _CMP_GE_OQ), large);
    return _mm256_mul_ps(_mm256_add_ps(whole, _mm256_and_ps(more, one)), place);
}

/* ---- float64 ---------------------------------------------------------------------- */

static inline doubles d_zero(void) { return _mm256_setzero_pd(); }
static inline doubles d_all(double x) { return _mm256_set1_pd(x); }
static inline doubles d_load(const double *from) { return _mm256_loadu_pd(from); }
static inline void d_store(double *to, doubles x) { _mm256_storeu_pd(to, x); }
static inline doubles d_add(doubles a, doubles b) { return _mm256_add_pd(a, b); }
static inline doubles d_fma(doubles a, doubles b, doubles c) { return _mm256_fmadd_pd(a, b, c); }
static inline double d_sum(doubles x) {
    __m128d two = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd(x, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}
static inline doubles d_low(numbers x) { return _mm256_cvtps_pd(_mm256_castps256_ps128(x)); }
static inline doubles d_high(numbers x) { return _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)); }
static inline numbers d_numbers(doubles low, doubles high) {
    return _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low));
}

/* ---- whole numbers of 32 bits ----------------------------------------------------- */

static inline integers n_integers(numbers bits) { return _mm256_castps_si256(bits); }
static inline numbers i_numbers(integers bits) { return _mm256_castsi256_ps(bits); }
static inline integers i_all(int32_t x) { return _mm256_set1_epi32(x); }
static inline integers i_counted(void) { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
static inline void i_store(int32_t *to, filled lanes, integers x) {
    int32_t all[LANES];
    _mm256_storeu_si256((__m256i *)all, x);
    memcpy(to, all, sizeof(int32_t) * (size_t)lanes);
}
static inline integers i_add(integers a, integers b) { return _mm256_add_epi32(a, b); }
static inline integers i_sub(integers a, integers b) { return _mm256_sub_epi32(a, b); }
static inline integers i_mul(integers a, integers b) { return _mm256_mullo_epi32(a, b); }
static inline integers i_and(integers a, integers b) { return _mm256_and_si256(a, b); }
static inline integers i_or(integers a, integers b) { return _mm256_or_si256(a, b); }
static inline integers i_xor(integers a, integers b) { return _mm256_xor_si256(a, b); }
static inline integers i_max(integers a, integers b) { return _mm256_max_epi32(a, b); }
static inline integers i_min(integers a, integers b) { return _mm256_min_epi32(a, b); }
static inline integers i_shifted(integers x, int by) { return _mm256_srli_epi32(x, by); }
static inline integers i_shifted_signed(integers x, int by) { return _mm256_srai_epi32(x, by); }
static inline int32_t i_highest(integers x) {
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}
static inline int32_t i_lowest(integers x) {
    __m128i four = _mm_min_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    four = _mm_min_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_min_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}
static inline chosen i_at_least(integers a, integers b) {
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_max_epu32(a, b), a));
}
static inline integers i_where(chosen of, integers yes, integers no) {
    return _mm256_blendv_epi8(no, yes, _mm256_castps_si256(of));
}

/* ---- lanes ------------------------------------------------------------------------ */

static inline chosen chosen_of(filled lanes) {
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(lanes), i_counted()));
}
static inline chosen both(chosen a, chosen b) { return _mm256_and_ps(a, b); }
static inline chosen but_not(chosen a, chosen b) { return _mm256_andnot_ps(b, a); }
static inline chosen lane_at(int place) {
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_set1_epi32(place), i_counted()));
}
static inline int first_of(chosen lanes) {
    return __builtin_ctz((unsigned)_mm256_movemask_ps(lanes) | 1u << LANES);
}

/* ---- whole numbers of 16 bits ----------------------------------------------------- */

static inline shorts s_zero(void) { return _mm256_setzero_si256(); }
static inline shorts s_all(int x) { return _mm256_set1_epi16((short)x); }
static inline shorts s_load_all(const uint16_t *from) {
    return _mm256_loadu_si256((const __m256i *)from);
}
static inline void s_store_all(uint16_t *to, shorts x) { _mm256_storeu_si256((__m256i *)to, x); }
APART shorts s_load_some(const uint16_t *from, filled_shorts of) {
    uint16_t some[WORDS] = {0};
    memcpy(some, from, sizeof(uint16_t) * (size_t)of);
    return s_load_all(some);
}
APART void s_store_some(uint16_t *to, filled_shorts of, shorts x) {
    uint16_t all[WORDS];
    s_store_all(all, x);
    memcpy(to, all, sizeof(uint16_t) * (size_t)of);
}
static inline shorts s_load(const uint16_t *from, filled_shorts of) {
    return of == WORDS ? s_load_all(from) : s_load_some(from, of);
}
static inline void s_store(uint16_t *to, filled_shorts of, shorts x) {
    if (of == WORDS)
        s_store_all(to, x);
    else
        s_store_some(to, of, x);
}
static inline shorts s_add(shorts a, shorts b) { return _mm256_add_epi16(a, b); }
static inline shorts s_sub(shorts a, shorts b) { return _mm256_sub_epi16(a, b); }
static inline shorts s_and(shorts a, shorts b) { return _mm256_and_si256(a, b); }
static inline shorts s_max(shorts a, shorts b) { return _mm256_max_epi16(a, b); }
static inline shorts s_min(shorts a, shorts b) { return _mm256_min_epi16(a, b); }
static inline shorts s_max_unsigned(shorts a, shorts b) { return _mm256_max_epu16(a, b); }
static inline shorts s_min_unsigned(shorts a, shorts b) { return _mm256_min_epu16(a, b); }
static inline chosen_shorts s_equal(shorts a, shorts b) { return _mm256_cmpeq_epi16(a, b); }
static inline chosen_shorts s_above(shorts a, shorts b) { return _mm256_cmpgt_epi16(a, b); }
static inline chosen_shorts s_above_unsigned(shorts a, shorts b) {
    const shorts sign = _mm256_set1_epi16((short)0x8000);
    return _mm256_cmpgt_epi16(_mm256_xor_si256(a, sign), _mm256_xor_si256(b, sign));
}
static inline chosen_shorts s_both(chosen_shorts a, chosen_shorts b) {
    return _mm256_and_si256(a, b);
}
static inline shorts s_where(chosen_shorts of, shorts yes, shorts no) {
    return _mm256_blendv_epi8(no, yes, of);
}
static inline shorts s_where_or_0(chosen_shorts of, shorts yes) {
    return _mm256_and_si256(of, yes);
}
static inline halves s_low(shorts x) { return _mm256_castsi256_si128(x); }
static inline halves s_high(shorts x) { return _mm256_extracti128_si256(x, 1); }
static inline shorts s_joined(halves low, halves high) { return _mm256_set_m128i(high, low); }

#endif
