/* Softmax of the rows of a float16 matrix, forth and back.
 *
 * As many rows as lanes side by side: what is found along each, its peak and its sums, ends in
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
    BLOCK = 32 * LANES, /* numbers: 32 are added in a lane, then sums go on in float64 */
    SHORT = 256,     /* numbers of a row whose exponentials are kept; else there are too many */
    VECTORS = SHORT / LANES,
};

/* e**(x - top) for x up to top, to 2**-22; NaN of NaN, and 0 of lanes that are not filled.
 * It is 0 below e**-50, too, of which float16 would show nothing: so no number on the way
 * is subnormal, which threads treat differently. */
static inline numbers exponential(numbers x, numbers top, filled lanes) {
    numbers gap = n_sub(x, top);
    chosen counts = both(chosen_of(lanes), n_compare(gap, n_all(-50), _CMP_NLT_UQ));
    scaled_lanes y = exponential_of(gap);
    return n_where_or_0(counts, n_scale(y.x, y.power));
}

static inline numbers combined(numbers a, numbers b, const int is_max) {
    return is_max ? n_max(a, b) : n_add(a, b);
}

/* The largest lane or the sum of each of as many vectors; the vectors are lost. */
static inline __attribute__((always_inline)) numbers across(numbers *v, const int is_max) {
    for (int i = 0; i < LANES / 2; i++)
        v[i] = combined(n_firsts(v[2 * i], v[2 * i + 1]), n_lasts(v[2 * i], v[2 * i + 1]), is_max);
    for (int i = 0; i < LANES / 4; i++)
        v[i] = combined(n_first_pairs(v[2 * i], v[2 * i + 1]),
                        n_last_pairs(v[2 * i], v[2 * i + 1]), is_max);
    for (int count = LANES / 8; count; count /= 2)
        for (int i = 0; i < count; i++)
            v[i] = combined(n_even_blocks(v[2 * i], v[2 * i + 1]),
                            n_odd_blocks(v[2 * i], v[2 * i + 1]), is_max);
    return v[0];
}

typedef struct {
    const uint16_t *x, *slopes; /* no slopes forth */
    uint16_t *to;
    int columns;
    numbers *kept; /* exponentials; NULL of a long row, which computes them again */
} row;

/* Of a row in lanes: the largest number, and the slope that belongs to it. NaN is not
 * noticed here: the sums will. */
typedef struct {
    numbers top, slope;
} peak;

static inline __attribute__((always_inline)) peak peak_of(row r, const int is_back) {
    peak of = {n_all(-INFINITY), n_all(-INFINITY)};
    for (int i = 0; i < r.columns; i += LANES) {
        filled lanes = lanes_at(r.columns, i);
        numbers x = loaded(r.x + i, lanes);
        if (is_back) {
            chosen is_more = both(chosen_of(lanes), n_compare(x, of.top, _CMP_GT_OQ));
            of.slope = n_where(is_more, loaded(r.slopes + i, lanes), of.slope);
        }
        of.top = n_where(chosen_of(lanes), n_max(x, of.top), of.top);
    }
    return of;
}

/* The sum of a block of a row, added to those before it. */
static inline void move(pair *to, numbers *sum) {
    pair wide = widened(*sum);
    to->low = d_add(to->low, wide.low), to->high = d_add(to->high, wide.high);
    *sum = n_zero();
}

/* Of a row in lanes: sums of its exponentials, and of those times what the slopes differ
 * by from the peak's. */
typedef struct {
    numbers all, along;
} row_sum;

static inline __attribute__((always_inline)) row_sum sum_of(row r, numbers top, numbers slope,
                                                            const int is_back) {
    row_sum sum = {n_zero(), n_zero()};
    pair all = {d_zero(), d_zero()}, along = all;
    for (int i = 0; i < r.columns; i += LANES) {
        filled lanes = lanes_at(r.columns, i);
        numbers y = exponential(loaded(r.x + i, lanes), top, lanes);
        if (r.kept) *r.kept++ = y;
        sum.all = n_add(sum.all, y);
        if (is_back) {
            numbers gap = n_sub(loaded(r.slopes + i, lanes), slope);
            sum.along = n_fma(y, gap, sum.along);
        }
        if (i % BLOCK == BLOCK - LANES) {
            move(&all, &sum.all);
            if (is_back) move(&along, &sum.along);
        }
    }
    sum.all = n_add(narrowed(all), sum.all);
    if (is_back) sum.along = n_add(narrowed(along), sum.along);
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
    const numbers top = n_all(of->top[lane]), share = n_all(of->share[lane]);
    for (int i = 0; i < r.columns; i += LANES) {
        filled lanes = lanes_at(r.columns, i);
        numbers y = r.kept ? *r.kept++ : exponential(loaded(r.x + i, lanes), top, lanes);
        y = n_mul(y, share);
        if (is_back) {
            numbers slope = loaded(r.slopes + i, lanes);
            slope = n_sub(slope, n_all(of->slope[lane]));
            y = n_mul(y, n_sub(slope, n_all(of->mean[lane])));
        }
        put(r.to + i, lanes, y);
    }
}

static inline __attribute__((always_inline)) void find_peaks(const row *rows, int count,
                                                             findings *of, const int is_back) {
    const numbers lowest = n_all(-INFINITY);
    numbers tops[LANES], slopes[LANES], used[LANES];
    for (int i = 0; i < LANES; i++) used[i] = slopes[i] = lowest;
    for (int i = 0; i < count; i++) {
        peak found = peak_of(rows[i], is_back);
        tops[i] = used[i] = found.top, slopes[i] = found.slope;
    }
    numbers top = across(used, 1);
    chosen is_peak = n_compare(top, lowest, _CMP_NEQ_UQ);
    n_store(of->top, n_where_or_0(is_peak, top));
    if (!is_back) return;
    for (int i = 0; i < count; i++) {
        chosen is_top = n_compare(tops[i], n_all(of->top[i]), _CMP_EQ_OQ);
        slopes[i] = n_where(is_top, slopes[i], lowest);
    }
    n_store(of->slope, n_where_or_0(is_peak, across(slopes, 1)));
}

static inline __attribute__((always_inline)) void find_sums(const row *rows, int count,
                                                            findings *of, const int is_back) {
    numbers all[LANES], along[LANES];
    for (int i = 0; i < LANES; i++) all[i] = along[i] = n_zero();
    for (int i = 0; i < count; i++) {
        const numbers top = n_all(of->top[i]), slope = n_all(of->slope[i]);
        row_sum sum = sum_of(rows[i], top, slope, is_back);
        all[i] = sum.all, along[i] = sum.along;
    }
    const numbers one = n_all(1);
    numbers sum = across(all, 0);
    /* Where the sum is 0 all of them are, and stay it. */
    sum = n_where(n_compare(sum, n_zero(), _CMP_EQ_OQ), one, sum);
    n_store(of->share, n_div(one, sum));
    if (is_back) n_store(of->mean, n_div(across(along, 0), sum));
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
    numbers kept[LANES * VECTORS];
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
