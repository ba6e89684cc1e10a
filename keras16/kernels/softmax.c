/* Softmax of the rows of a float16 matrix, forth and back.
 *
 * Up to sixteen rows side by side: what is found along each, its peak and its sums, ends in
 * a lane of one register. All is float32 and is rounded to float16 once. What comes out of
 * a row depends on nothing but the row.
 */
#include "kernels.h"

#include <math.h>
#include <stddef.h>

#include "exponentials.h"
#include "threads.h"
#include "vectors.h"

enum {
    CHUNK = 1 << 14, /* numbers of a task, about */
    BLOCK = 512,     /* numbers: 32 are added in a lane, before sums go on in float64 */
    SHORT = 256,     /* numbers of a row whose exponentials are kept; else there are too many */
    VECTORS = SHORT / LANES,
};

/* e**(x - top) for x up to top, to 2**-22; NaN of NaN, and 0 of lanes that are not filled.
 * It is 0 below e**-50, too, of which float16 would show nothing: so no number on the way
 * is subnormal, which threads treat differently. */
static inline __m512 exponential(__m512 x, __m512 top, __mmask16 lanes) {
    __m512 gap = _mm512_sub_ps(x, top);
    __mmask16 counts = _mm512_mask_cmp_ps_mask(lanes, gap, _mm512_set1_ps(-50), _CMP_NLT_UQ);
    scaled_lanes y = exponential_of(gap);
    return _mm512_maskz_scalef_ps(counts, y.x, y.power);
}

static inline __m512 combined(__m512 a, __m512 b, const int is_max) {
    return is_max ? _mm512_max_ps(a, b) : _mm512_add_ps(a, b);
}

/* The largest lane or the sum of each of sixteen vectors; the vectors are lost. */
static inline __attribute__((always_inline)) __m512 across(__m512 *v, const int is_max) {
    for (int i = 0; i < 8; i++)
        v[i] = combined(_mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]),
                        _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]), is_max);
    for (int i = 0; i < 4; i++) {
        __m512d a = _mm512_castps_pd(v[2 * i]), b = _mm512_castps_pd(v[2 * i + 1]);
        v[i] = combined(_mm512_castpd_ps(_mm512_unpacklo_pd(a, b)),
                        _mm512_castpd_ps(_mm512_unpackhi_pd(a, b)), is_max);
    }
    for (int count = 2; count; count /= 2) /* now whole quarters of them */
        for (int i = 0; i < count; i++)
            v[i] = combined(_mm512_shuffle_f32x4(v[2 * i], v[2 * i + 1], 0x88),
                            _mm512_shuffle_f32x4(v[2 * i], v[2 * i + 1], 0xdd), is_max);
    return v[0];
}

typedef struct {
    const uint16_t *x, *slopes; /* no slopes forth */
    uint16_t *to;
    int columns;
    __m512 *kept; /* exponentials; NULL of a long row, which computes them again */
} row;

/* Of a row in lanes: the largest number, and the slope that belongs to it. NaN is not
 * noticed here: the sums will. */
typedef struct {
    __m512 top, slope;
} peak;

static inline __attribute__((always_inline)) peak peak_of(row r, const int is_back) {
    peak of = {_mm512_set1_ps(-INFINITY), _mm512_set1_ps(-INFINITY)};
    for (int i = 0; i < r.columns; i += LANES) {
        __mmask16 lanes = lanes_at(r.columns, i);
        __m512 x = loaded(r.x + i, lanes);
        if (is_back) {
            __mmask16 is_more = _mm512_mask_cmp_ps_mask(lanes, x, of.top, _CMP_GT_OQ);
            of.slope = _mm512_mask_mov_ps(of.slope, is_more, loaded(r.slopes + i, lanes));
        }
        of.top = _mm512_mask_max_ps(of.top, lanes, x, of.top);
    }
    return of;
}

/* The sum of a block of a row, added to those before it. */
static inline void move(pair *to, __m512 *sum) {
    pair wide = widened(*sum);
    to->low = _mm512_add_pd(to->low, wide.low), to->high = _mm512_add_pd(to->high, wide.high);
    *sum = _mm512_setzero_ps();
}

static inline __m512 narrow(pair of) {
    __m512 low = _mm512_castps256_ps512(_mm512_cvtpd_ps(of.low));
    return _mm512_insertf32x8(low, _mm512_cvtpd_ps(of.high), 1);
}

/* Of a row in lanes: sums of its exponentials, and of those times what the slopes differ
 * by from the peak's. */
typedef struct {
    __m512 all, along;
} row_sum;

static inline __attribute__((always_inline)) row_sum sum_of(row r, __m512 top, __m512 slope,
                                                            const int is_back) {
    row_sum sum = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    pair all = {_mm512_setzero_pd(), _mm512_setzero_pd()}, along = all;
    for (int i = 0; i < r.columns; i += LANES) {
        __mmask16 lanes = lanes_at(r.columns, i);
        __m512 y = exponential(loaded(r.x + i, lanes), top, lanes);
        if (r.kept) *r.kept++ = y;
        sum.all = _mm512_add_ps(sum.all, y);
        if (is_back) {
            __m512 gap = _mm512_sub_ps(loaded(r.slopes + i, lanes), slope);
            sum.along = _mm512_fmadd_ps(y, gap, sum.along);
        }
        if (i % BLOCK == BLOCK - LANES) {
            move(&all, &sum.all);
            if (is_back) move(&along, &sum.along);
        }
    }
    sum.all = _mm512_add_ps(narrow(all), sum.all);
    if (is_back) sum.along = _mm512_add_ps(narrow(along), sum.along);
    return sum;
}

/* Of up to LANES rows, one after another. */
typedef struct {
    float top[LANES], slope[LANES]; /* of the peak; 0 where all numbers are -inf */
    float share[LANES];             /* 1 over the sum of the exponentials */
    float mean[LANES];              /* slope, less the peak's */
} findings;

/* p; back, p ((slope - the peak's) - the mean of that), which is p (slope - mean slope)
 * without the cancellation where one p is nearly 1. */
static inline __attribute__((always_inline)) void write_row(row r, const findings *of, int lane,
                                                            const int is_back) {
    const __m512 top = _mm512_set1_ps(of->top[lane]), share = _mm512_set1_ps(of->share[lane]);
    for (int i = 0; i < r.columns; i += LANES) {
        __mmask16 lanes = lanes_at(r.columns, i);
        __m512 y = r.kept ? *r.kept++ : exponential(loaded(r.x + i, lanes), top, lanes);
        y = _mm512_mul_ps(y, share);
        if (is_back) {
            __m512 slope = loaded(r.slopes + i, lanes);
            slope = _mm512_sub_ps(slope, _mm512_set1_ps(of->slope[lane]));
            y = _mm512_mul_ps(y, _mm512_sub_ps(slope, _mm512_set1_ps(of->mean[lane])));
        }
        put(r.to + i, lanes, y);
    }
}

static inline __attribute__((always_inline)) void find_peaks(const row *rows, int count,
                                                             findings *of, const int is_back) {
    const __m512 lowest = _mm512_set1_ps(-INFINITY);
    __m512 tops[LANES], slopes[LANES], used[LANES];
    for (int i = 0; i < LANES; i++) used[i] = slopes[i] = lowest;
    for (int i = 0; i < count; i++) {
        peak found = peak_of(rows[i], is_back);
        tops[i] = used[i] = found.top, slopes[i] = found.slope;
    }
    __m512 top = across(used, 1);
    __mmask16 is_peak = _mm512_cmp_ps_mask(top, lowest, _CMP_NEQ_UQ);
    _mm512_storeu_ps(of->top, _mm512_maskz_mov_ps(is_peak, top));
    if (!is_back) return;
    for (int i = 0; i < count; i++) {
        __mmask16 is_top = _mm512_cmp_ps_mask(tops[i], _mm512_set1_ps(of->top[i]), _CMP_EQ_OQ);
        slopes[i] = _mm512_mask_mov_ps(lowest, is_top, slopes[i]);
    }
    _mm512_storeu_ps(of->slope, _mm512_maskz_mov_ps(is_peak, across(slopes, 1)));
}

static inline __attribute__((always_inline)) void find_sums(const row *rows, int count,
                                                            findings *of, const int is_back) {
    __m512 all[LANES], along[LANES];
    for (int i = 0; i < LANES; i++) all[i] = along[i] = _mm512_setzero_ps();
    for (int i = 0; i < count; i++) {
        const __m512 top = _mm512_set1_ps(of->top[i]), slope = _mm512_set1_ps(of->slope[i]);
        row_sum sum = sum_of(rows[i], top, slope, is_back);
        all[i] = sum.all, along[i] = sum.along;
    }
    const __m512 one = _mm512_set1_ps(1);
    __m512 sum = across(all, 0);
    __mmask16 is_none = _mm512_cmp_ps_mask(sum, _mm512_setzero_ps(), _CMP_EQ_OQ);
    sum = _mm512_mask_mov_ps(sum, is_none, one); /* all of them are 0, and stay it */
    _mm512_storeu_ps(of->share, _mm512_div_ps(one, sum));
    if (is_back) _mm512_storeu_ps(of->mean, _mm512_div_ps(across(along, 0), sum));
}

typedef struct {
    const matrix *m;
    const uint16_t *slopes; /* NULL forth */
    uint16_t *to;
    int64_t rows; /* of a task */
} row_work;

static inline __attribute__((always_inline)) void write_rows(const row_work *w, int64_t first,
                                                             int count, const int is_back) {
    row rows[LANES];
    __m512 kept[LANES * VECTORS];
    findings of = {.slope = {0}};
    for (int i = 0; i < count; i++) {
        int64_t at = (first + i) * w->m->channels;
        rows[i] = (row){.x = w->m->x + at, .slopes = is_back ? w->slopes + at : NULL,
                        .to = w->to + at, .columns = w->m->channels,
                        .kept = w->m->channels <= SHORT ? kept + i * VECTORS : NULL};
    }
    find_peaks(rows, count, &of, is_back);
    find_sums(rows, count, &of, is_back);
    for (int i = 0; i < count; i++) write_row(rows[i], &of, i, is_back);
}

static inline __attribute__((always_inline)) void run_task(const row_work *w, int task,
                                                           const int is_back) {
    int64_t last = (task + (int64_t)1) * w->rows;
    if (last > w->m->rows) last = w->m->rows;
    for (int64_t row = task * w->rows; row < last; row += LANES)
        write_rows(w, row, (int)(last - row < LANES ? last - row : LANES), is_back);
}

static void forth_task(void *context, int task) { run_task(context, task, 0); }
static void back_task(void *context, int task) { run_task(context, task, 1); }

static int run(row_work w, void (*task)(void *, int)) {
    const double of_number = 0.4, of_row = 5; /* nanoseconds */
    const int columns = w.m->channels;
    if (!columns) return 1;
    w.rows = columns < CHUNK ? CHUNK / columns : 1;
    if (w.rows > LANES) w.rows -= w.rows % LANES;
    double work = (of_number * columns + of_row) * (double)w.m->rows;
    return run_in_parallel((int)((w.m->rows + w.rows - 1) / w.rows), work, task, &w);
}

int softmax(const matrix *m, uint16_t *y) {
    return run((row_work){.m = m, .to = y}, forth_task);
}

int softmax_back(const matrix *m, const uint16_t *slopes, uint16_t *x) {
    return run((row_work){.m = m, .slopes = slopes, .to = x}, back_task);
}
