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
    EXPONENT = 23, /* where it lies in a float32 */
    BIAS = 127,
};

/* e**(x - top); differences below -80 count as -80. */
static inline scaled_lanes exponential(numbers x, float top) {
    numbers gap = n_sub(x, n_all(top));
    return exponential_of(n_max(n_all(-80), gap)); /* NaN stays */
}

typedef struct {
    float top;
    int at;      /* the first place of the top */
    double rest; /* the sum of all other exponentials; NaN where there is some */
} row_sum;

static void find_top(const uint16_t *x, int columns, row_sum *of) {
    numbers top = n_all(-INFINITY);
    for (int i = 0; i < columns; i += LANES) {
        filled lanes = lanes_at(columns, i);
        top = n_where(chosen_of(lanes), n_max(loaded(x + i, lanes), top), top);
    }
    of->top = n_highest(top), of->at = 0;
    for (int i = 0; i < columns; i += LANES) {
        filled lanes = lanes_at(columns, i);
        chosen is_top = n_compare(loaded(x + i, lanes), n_all(of->top), _CMP_EQ_OQ);
        int lane = first_of(both(chosen_of(lanes), is_top));
        if (lane == LANES) continue;
        of->at = i + lane;
        return;
    }
}

static row_sum sum_of(const uint16_t *x, int columns) {
    row_sum of;
    find_top(x, columns, &of);
    doubles sum = d_zero();
    for (int i = 0; i < columns; i += LANES) {
        filled lanes = lanes_at(columns, i);
        scaled_lanes e = exponential(loaded(x + i, lanes), of.top);
        chosen others = but_not(chosen_of(lanes), lane_at(of.at - i));
        pair y = widened(n_where_or_0(others, n_scale(e.x, e.power)));
        sum = d_add(d_add(sum, y.low), y.high);
    }
    of.rest = d_sum(sum);
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

/* Numbers that are not negative, nor subnormal, each rounded once. */
static void put_scaled(scaled_numbers to, int64_t at, filled lanes, numbers x) {
    const numbers zero = n_zero();
    const integers mantissa = i_all((1 << EXPONENT) - 1), one = i_all(BIAS << EXPONENT);
    /* 0, infinity and NaN have no exponent. */
    chosen fits = both(n_compare(x, zero, _CMP_GT_OQ), n_compare(x, n_all(INFINITY), _CMP_LT_OQ));
    integers bits = n_integers(x), exponent = i_sub(i_shifted(bits, EXPONENT), i_all(BIAS));
    numbers significand = i_numbers(i_or(i_and(bits, mantissa), one));
    significand = h_numbers(rounded(n_where(fits, significand, x)));
    /* Rounded up to 2: it is 1 of the next exponent. */
    chosen carries = both(fits, n_compare(significand, n_all(2), _CMP_EQ_OQ));
    significand = n_where(carries, n_all(1), significand);
    exponent = i_where(carries, i_add(exponent, i_all(1)), exponent);
    exponent = i_where(fits, exponent, i_all(0));
    exponent = i_where(n_compare(x, zero, _CMP_EQ_OQ), i_all(ZERO_EXPONENT), exponent);
    put(to.x + at, lanes, significand);
    i_store(to.exponent + at, lanes, exponent);
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
        put_scaled(w->losses, row, lanes_at(count, 0), n_load(losses));
    }
}

/* A number times the slope of its row, as float16; not beyond its largest. */
static inline void put_slopes(const labelled *w, int64_t row, int i, filled lanes,
                              scaled_lanes share) {
    const numbers most = n_all(65504), least = n_all(-65504);
    numbers y = n_mul(share.x, n_all(_cvtsh_ss(w->slopes[row])));
    numbers power = n_add(share.power, n_all((float)w->exponents[row]));
    y = n_scale(y, power);
    y = n_max(least, n_min(most, y)); /* NaN stays */
    put(w->of_logits + row * w->logits->channels + i, lanes, y);
}

static void write_slopes(const labelled *w, int64_t row) {
    const int columns = w->logits->channels, id = w->ids[row];
    const uint16_t *x = w->logits->x + row * columns;
    row_sum of = sum_of(x, columns);
    double total = is_class(w, id) ? 1 + of.rest : NAN;
    const numbers part = n_all((float)(1 / total));
    const numbers of_top = n_all((float)(-of.rest / total)), one = n_all(1);
    for (int i = 0; i < columns; i += LANES) {
        filled lanes = lanes_at(columns, i);
        chosen label = lane_at(id >= i ? id - i : -1);
        scaled_lanes share = exponential(loaded(x + i, lanes), of.top);
        share.x = n_mul(share.x, part);
        /* Elsewhere than at the top p is at most 1/2, and p - 1 has all its digits. */
        numbers less = n_sub(n_scale(share.x, share.power), one);
        share.x = n_where(label, id == of.at ? of_top : less, share.x);
        share.power = n_where(label, n_zero(), share.power);
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
