/* Softmax cross-entropies of class ids, and their way back (numerics/categorical.py).
 *
 * The largest logit is left out of the sum of exponentials, so that log1p of the rest
 * keeps its digits where log(1 + rest) would be 0; and the slope of the label is minus the
 * others' shares, never p - 1. What comes out of a row depends on nothing but the row.
 */
#include "kernels.h"

#include <math.h>
#include <stddef.h>

#include "exponentials.h"
#include "threads.h"
#include "vectors.h"

enum {
    CHUNK = 1 << 13, /* numbers of a task, about */
    ZERO_EXPONENT = -4096,
    NONE_FITS = 0x9f, /* fpclass: 0, infinity and NaN have no exponent */
    ZEROS = 0x06,
};

/* The lane of a place, if it is one of those from the first on. */
static inline __mmask16 lane_of(int place, int first) {
    return place >= first && place - first < LANES ? (__mmask16)(1u << (place - first)) : 0;
}

/* e**(x - top); differences below -80 count as -80. */
static inline scaled_lanes exponential(__m512 x, float top) {
    __m512 gap = _mm512_sub_ps(x, _mm512_set1_ps(top));
    return exponential_of(_mm512_max_ps(_mm512_set1_ps(-80), gap)); /* NaN stays */
}

typedef struct {
    float top;
    int at;      /* the first place of the top */
    double rest; /* the sum of all other exponentials; NaN where there is some */
} row_sum;

static void find_top(const uint16_t *x, int columns, row_sum *of) {
    __m512 top = _mm512_set1_ps(-INFINITY);
    for (int i = 0; i < columns; i += LANES) {
        __mmask16 lanes = lanes_at(columns, i);
        top = _mm512_mask_max_ps(top, lanes, loaded(x + i, lanes), top);
    }
    of->top = _mm512_reduce_max_ps(top), of->at = 0;
    for (int i = 0; i < columns; i += LANES) {
        __mmask16 lanes = lanes_at(columns, i);
        lanes = _mm512_mask_cmp_ps_mask(lanes, loaded(x + i, lanes), _mm512_set1_ps(of->top),
                                        _CMP_EQ_OQ);
        if (!lanes) continue;
        of->at = i + __builtin_ctz(lanes);
        return;
    }
}

static row_sum sum_of(const uint16_t *x, int columns) {
    row_sum of;
    find_top(x, columns, &of);
    __m512d sum = _mm512_setzero_pd();
    for (int i = 0; i < columns; i += LANES) {
        __mmask16 lanes = lanes_at(columns, i) & ~lane_of(of.at, i);
        scaled_lanes e = exponential(loaded(x + i, lanes), of.top);
        pair y = widened(_mm512_maskz_scalef_ps(lanes, e.x, e.power));
        sum = _mm512_add_pd(_mm512_add_pd(sum, y.low), y.high);
    }
    of.rest = _mm512_reduce_add_pd(sum);
    return of;
}

typedef struct {
    const matrix *logits;
    const int32_t *ids;
    scaled_numbers losses;
    const uint16_t *slopes; /* NULL forth, as is of_logits */
    const int32_t *exponents;
    uint16_t *of_logits;
    int64_t rows; /* of a task */
} labelled;

static inline int is_class(const labelled *w, int32_t id) {
    return id >= 0 && id < w->logits->channels;
}

static float loss_of(const labelled *w, int64_t row) {
    const int columns = w->logits->channels;
    const uint16_t *x = w->logits->x + row * columns;
    if (!is_class(w, w->ids[row])) return NAN;
    row_sum of = sum_of(x, columns);
    return (float)((double)of.top - (double)_cvtsh_ss(x[w->ids[row]]) + log1p(of.rest));
}

/* Numbers that are not negative, each rounded once. */
static void put_scaled(scaled_numbers to, int64_t at, __mmask16 lanes, __m512 x) {
    __mmask16 fits = ~_mm512_fpclass_ps_mask(x, NONE_FITS);
    __m512 one = _mm512_mask_getmant_ps(x, fits, x, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src);
    __m256i half = rounded(one);
    /* Rounded up to 2: it is 1 of the next exponent. */
    __mmask16 carries = _mm256_mask_cmpeq_epi16_mask(fits, half, _mm256_set1_epi16(0x4000));
    half = _mm256_mask_mov_epi16(half, carries, _mm256_set1_epi16(0x3c00));
    __m512i exponent = _mm512_maskz_cvtps_epi32(fits, _mm512_getexp_ps(x));
    exponent = _mm512_mask_add_epi32(exponent, carries, exponent, _mm512_set1_epi32(1));
    __mmask16 is_zero = _mm512_fpclass_ps_mask(x, ZEROS);
    exponent = _mm512_mask_mov_epi32(exponent, is_zero, _mm512_set1_epi32(ZERO_EXPONENT));
    _mm256_mask_storeu_epi16(to.x + at, lanes, half);
    _mm512_mask_storeu_epi32(to.exponent + at, lanes, exponent);
}

static int64_t end_of(const labelled *w, int task) {
    int64_t end = (task + (int64_t)1) * w->rows;
    return end < w->logits->rows ? end : w->logits->rows;
}

static void loss_task(void *context, int task) {
    const labelled *w = context;
    for (int64_t row = task * w->rows, end = end_of(w, task); row < end; row += LANES) {
        int count = end - row < LANES ? (int)(end - row) : LANES;
        float losses[LANES] = {0};
        for (int i = 0; i < count; i++) losses[i] = loss_of(w, row + i);
        put_scaled(w->losses, row, lanes_at(count, 0), _mm512_loadu_ps(losses));
    }
}

/* A number times the slope of its row, as float16; not beyond its largest. */
static inline void put_slopes(const labelled *w, int64_t row, int i, __mmask16 lanes,
                              scaled_lanes share) {
    const __m512 most = _mm512_set1_ps(65504), least = _mm512_set1_ps(-65504);
    __m512 y = _mm512_mul_ps(share.x, _mm512_set1_ps(_cvtsh_ss(w->slopes[row])));
    __m512 power = _mm512_add_ps(share.power, _mm512_set1_ps((float)w->exponents[row]));
    y = _mm512_scalef_ps(y, power);
    y = _mm512_max_ps(least, _mm512_min_ps(most, y)); /* NaN stays */
    put(w->of_logits + row * w->logits->channels + i, lanes, y);
}

static void write_slopes(const labelled *w, int64_t row) {
    const int columns = w->logits->channels, id = w->ids[row];
    const uint16_t *x = w->logits->x + row * columns;
    row_sum of = sum_of(x, columns);
    double total = is_class(w, id) ? 1 + of.rest : NAN;
    const __m512 part = _mm512_set1_ps((float)(1 / total));
    const __m512 of_top = _mm512_set1_ps((float)(-of.rest / total)), one = _mm512_set1_ps(1);
    for (int i = 0; i < columns; i += LANES) {
        __mmask16 lanes = lanes_at(columns, i), label = lane_of(id, i);
        scaled_lanes share = exponential(loaded(x + i, lanes), of.top);
        share.x = _mm512_mul_ps(share.x, part);
        /* Elsewhere than at the top p is at most 1/2, and p - 1 has all its digits. */
        __m512 less = _mm512_sub_ps(_mm512_scalef_ps(share.x, share.power), one);
        share.x = _mm512_mask_mov_ps(share.x, label, id == of.at ? of_top : less);
        share.power = _mm512_mask_mov_ps(share.power, label, _mm512_setzero_ps());
        put_slopes(w, row, i, lanes, share);
    }
}

static void slope_task(void *context, int task) {
    const labelled *w = context;
    for (int64_t row = task * w->rows, end = end_of(w, task); row < end; row++)
        write_slopes(w, row);
}

static int run(labelled w, void (*task)(void *, int)) {
    const double of_number = 0.8, of_row = 40; /* nanoseconds */
    const int columns = w.logits->channels;
    w.rows = columns ? CHUNK / columns : CHUNK;
    w.rows = w.rows > LANES ? w.rows - w.rows % LANES : LANES;
    double work = (of_number * columns + of_row) * (double)w.logits->rows;
    return run_in_parallel((int)((w.logits->rows + w.rows - 1) / w.rows), work, task, &w);
}

int cross_entropies(const matrix *logits, const int32_t *ids, scaled_numbers losses) {
    return run((labelled){.logits = logits, .ids = ids, .losses = losses}, loss_task);
}

int cross_entropies_back(const matrix *logits, const int32_t *ids, const uint16_t *slopes,
                         const int32_t *exponents, uint16_t *of_logits) {
    return run((labelled){.logits = logits, .ids = ids, .slopes = slopes,
                          .exponents = exponents, .of_logits = of_logits},
               slope_task);
}
