/* Batch normalization of the columns of a float16 matrix, forth and back.
 *
 * Memory is read twice and written once each way: for the moments or sums, and for what
 * comes out. A column is summed in chunks that stay in the first-level cache: in each,
 * float32 sums of what the numbers differ by from their mean, rounded to a float16, and of
 * the squares of that. From these the raw moments follow whatever that mean was rounded
 * to; they add up in float64, in the same order on any number of cores. A constant column
 * has the variance 0.
 */
#include "kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "threads.h"
#include "vectors.h"

enum {
    SIDE = 4,            /* vectors of sums at the same time */
    CHUNK_BYTES = 1 << 14,
    LEAST_ROWS = 32,     /* of a chunk */
    SUMS = 2,            /* of a range */
    LOWEST = -14,        /* exponent of a normal float16 */
    HIGHEST = 15,
    MANTISSA = 10,       /* bits */
    FRACTION = 15,       /* bits of what a moving average leaves out */
};

/* About how many nanoseconds a number takes, of what is asked or written. */
static const double QUESTION = 0.3;

static inline void add_to(double *sums, pair x) {
    d_store(sums, d_add(d_load(sums), x.low));
    d_store(sums + LANES / 2, d_add(d_load(sums + LANES / 2), x.high));
}

/* Sums and raw squares of so many numbers, from those of what they differ by from another. */
static inline pair raw_sum(pair gap, pair near, double rows) {
    doubles count = d_all(rows);
    return (pair){d_fma(near.low, count, gap.low), d_fma(near.high, count, gap.high)};
}

static inline doubles raw_squares(doubles square, doubles gap, doubles near, double rows) {
    doubles twice = d_fma(near, d_all(rows), d_add(gap, gap));
    return d_fma(near, twice, square);
}

typedef struct {
    const matrix *m;
    const uint16_t *slopes; /* NULL for moments */
    const uint16_t *mean;   /* of sums with slopes */
    int ranges, width;      /* channels in whole vectors */
    double *sums;           /* [ranges, SUMS, width] */
} sweep;

/* Sums and raw squares of some rows of a few vectors of columns, so many rows side by side
 * that sums do not wait for each other. */
static inline __attribute__((always_inline)) void moments_of(const sweep *s, const int vectors,
                                                             int64_t first, int64_t last,
                                                             int column, double *to) {
    const int side = SIDE / vectors;
    const size_t step = (size_t)s->m->channels;
    const uint16_t *x = s->m->x + (size_t)first * step + column;
    const int64_t rows = last - first;
    numbers sum[SIDE], square[SIDE], near[SIDE];
    filled lanes[SIDE];
    for (int v = 0; v < vectors; v++) lanes[v] = lanes_at(s->m->channels, column + v * LANES);
    for (int i = 0; i < SIDE; i++) sum[i] = square[i] = n_zero();
    for (int64_t row = 0; row < rows; row += side)
        for (int r = 0; r < side && row + r < rows; r++)
            for (int v = 0; v < vectors; v++) {
                const uint16_t *at = x + (size_t)(row + r) * step + v * LANES;
                sum[r * vectors + v] = n_add(sum[r * vectors + v], loaded(at, lanes[v]));
            }
    for (int v = 0; v < vectors; v++) {
        for (int r = 1; r < side; r++) sum[v] = n_add(sum[v], sum[r * vectors + v]);
        near[v] = n_mul(sum[v], n_all(1.0f / (float)rows));
        near[v] = h_numbers(rounded(near[v]));
    }
    for (int i = 0; i < SIDE; i++) sum[i] = n_zero();
    for (int64_t row = 0; row < rows; row += side)
        for (int r = 0; r < side && row + r < rows; r++)
            for (int v = 0; v < vectors; v++) {
                const uint16_t *at = x + (size_t)(row + r) * step + v * LANES;
                numbers gap = n_sub(loaded(at, lanes[v]), near[v]);
                int i = r * vectors + v;
                sum[i] = n_add(sum[i], gap);
                square[i] = n_fma(gap, gap, square[i]);
            }
    for (int v = 0; v < vectors; v++) {
        for (int r = 1; r < side; r++) {
            sum[v] = n_add(sum[v], sum[r * vectors + v]);
            square[v] = n_add(square[v], square[r * vectors + v]);
        }
        pair gap = widened(sum[v]), of_square = widened(square[v]), of_near = widened(near[v]);
        add_to(to + v * LANES, raw_sum(gap, of_near, (double)rows));
        add_to(to + s->width + v * LANES,
               (pair){raw_squares(of_square.low, gap.low, of_near.low, (double)rows),
                      raw_squares(of_square.high, gap.high, of_near.high, (double)rows)});
    }
}

/* Sums of slopes, and of slopes times what the numbers differ by from their rounded mean. */
static inline __attribute__((always_inline)) void slopes_of(const sweep *s, const int vectors,
                                                            int64_t first, int64_t last,
                                                            int column, double *to) {
    const int side = SIDE / vectors;
    const size_t step = (size_t)s->m->channels;
    const size_t begin = (size_t)first * step + (size_t)column;
    const int64_t rows = last - first;
    numbers sum[SIDE], product[SIDE], mean[SIDE];
    filled lanes[SIDE];
    for (int v = 0; v < vectors; v++) {
        lanes[v] = lanes_at(s->m->channels, column + v * LANES);
        mean[v] = loaded(s->mean + column + v * LANES, lanes[v]);
    }
    for (int i = 0; i < SIDE; i++) sum[i] = product[i] = n_zero();
    for (int64_t row = 0; row < rows; row += side)
        for (int r = 0; r < side && row + r < rows; r++)
            for (int v = 0; v < vectors; v++) {
                const size_t at = begin + (size_t)(row + r) * step + (size_t)v * LANES;
                const int i = r * vectors + v;
                numbers slope = loaded(s->slopes + at, lanes[v]);
                numbers gap = n_sub(loaded(s->m->x + at, lanes[v]), mean[v]);
                sum[i] = n_add(sum[i], slope);
                product[i] = n_fma(slope, gap, product[i]);
            }
    for (int v = 0; v < vectors; v++) {
        for (int r = 1; r < side; r++) {
            sum[v] = n_add(sum[v], sum[r * vectors + v]);
            product[v] = n_add(product[v], product[r * vectors + v]);
        }
        add_to(to + v * LANES, widened(sum[v]));
        add_to(to + s->width + v * LANES, widened(product[v]));
    }
}

/* A range of rows, chunk by chunk, all columns of a chunk after one another. */
static inline __attribute__((always_inline)) void sweep_range(const sweep *s, int range,
                                                              const int is_back) {
    int64_t first = s->m->rows * range / s->ranges, last = s->m->rows * (range + 1) / s->ranges;
    int64_t length = CHUNK_BYTES / (2 * (int64_t)s->m->channels);
    if (length < LEAST_ROWS) length = LEAST_ROWS;
    double *sums = s->sums + (size_t)range * SUMS * s->width;
    memset(sums, 0, sizeof(double) * SUMS * (size_t)s->width);
    for (int64_t row = first; row < last; row += length) {
        int64_t end = row + length < last ? row + length : last;
        int left = s->width / LANES, column = 0;
#define SWEEP(VECTORS)                                                           \
    for (; left >= VECTORS; left -= VECTORS, column += VECTORS * LANES) {        \
        if (is_back)                                                             \
            slopes_of(s, VECTORS, row, end, column, sums + column);              \
        else                                                                     \
            moments_of(s, VECTORS, row, end, column, sums + column);             \
    }
        SWEEP(4)
        SWEEP(2)
        SWEEP(1)
#undef SWEEP
    }
}

static void moments_task(void *context, int range) { sweep_range(context, range, 0); }
static void slopes_task(void *context, int range) { sweep_range(context, range, 1); }

/* All ranges' sums; they end in those of the first. */
static int run_sweep(sweep *s, void (*task)(void *, int)) {
    s->ranges = ranges_of(s->m->rows);
    s->width = whole_vectors(s->m->channels);
    size_t of_range = SUMS * (size_t)s->width;
    s->sums = malloc(sizeof(double) * of_range * (size_t)s->ranges);
    double work = QUESTION * (double)s->m->rows * s->width;
    if (!s->sums || !run_in_parallel(s->ranges, work, task, s)) return 0;
    for (size_t range = 1; range < (size_t)s->ranges; range++)
        for (size_t i = 0; i < of_range; i++) s->sums[i] += s->sums[range * of_range + i];
    return 1;
}

static inline double wide(uint16_t x) { return (double)_cvtsh_ss(x); }

static inline uint16_t half_of(double x) {
    return _cvtss_sh((float)x, _MM_FROUND_TO_NEAREST_INT);
}

static double power(int exponent) { return ldexp(1, exponent); }

/* The exponent of a positive number, as in 1.5 x 2**exponent. */
static int exponent_of(double x) {
    int exponent;
    frexp(x, &exponent);
    return exponent - 1;
}

/* A power of two that brings a number of at least 0 to about 1, within the format. */
static double power_for(double spread) {
    if (!(spread > 0) || isinf(spread)) return 1;
    int exponent = -exponent_of(spread);
    return power(exponent < LOWEST ? LOWEST : exponent > HIGHEST ? HIGHEST : exponent);
}

/* ---- each number by the vectors of its column ----------------------------------------- */

typedef struct {
    const matrix *m;
    const uint16_t *slopes; /* NULL forth */
    const uint16_t *mean;
    const float *slope, *offset, *steepness; /* [width] */
    uint16_t *to;
    int64_t rows; /* of a task */
} spread_out;

/* (x - mean) slope + offset; back, (slopes - that) steepness. */
static inline __attribute__((always_inline)) void lines_of(const spread_out *w, int task,
                                                           const int is_back) {
    int64_t first = task * w->rows, last = first + w->rows;
    if (last > w->m->rows) last = w->m->rows;
    int channels = w->m->channels;
    for (int column = 0; column < channels; column += LANES) {
        filled lanes = lanes_at(channels, column);
        numbers mean = loaded(w->mean + column, lanes);
        numbers slope = n_load(w->slope + column);
        numbers offset = n_load(w->offset + column);
        numbers steepness = is_back ? n_load(w->steepness + column) : slope;
        size_t at = (size_t)first * (size_t)channels + (size_t)column;
        for (int64_t row = first; row < last; row++, at += (size_t)channels) {
            numbers gap = n_sub(loaded(w->m->x + at, lanes), mean);
            numbers line = n_fma(gap, slope, offset);
            if (is_back) {
                line = n_sub(loaded(w->slopes + at, lanes), line);
                line = n_mul(line, steepness);
            }
            put(w->to + at, lanes, line);
        }
    }
}

static void forth_task(void *context, int task) { lines_of(context, task, 0); }
static void back_task(void *context, int task) { lines_of(context, task, 1); }

static int write_lines(spread_out w, void (*task)(void *, int)) {
    w.rows = CHUNK_BYTES / (2 * (int64_t)w.m->channels);
    if (w.rows < LEAST_ROWS) w.rows = LEAST_ROWS;
    double work = QUESTION * (double)w.m->rows * w.m->channels;
    return run_in_parallel((int)((w.m->rows + w.rows - 1) / w.rows), work, task, &w);
}

int normalize(const matrix *m, const uint16_t *gamma, const uint16_t *beta, float epsilon,
              column_statistics to, uint16_t *y) {
    if (!m->channels) return 1;
    sweep s = {.m = m};
    int done = run_sweep(&s, moments_task);
    float *lines = malloc(sizeof(float) * 2 * (size_t)s.width);
    done = done && lines;
    double rows = (double)(m->rows > 0 ? m->rows : 1);
    for (int c = 0; done && c < m->channels; c++) {
        double mean = s.sums[c] / rows, variance = s.sums[s.width + c] / rows - mean * mean;
        if (variance < 0) variance = 0;
        double spread = sqrt(variance + (double)epsilon), scale = power_for(spread);
        double inverse = spread == 0 ? 1 : 1 / spread;
        to.mean[c] = half_of(mean);
        double left = mean - wide(to.mean[c]);
        double slope = wide(gamma[c]) * inverse;
        to.beyond[c] = half_of(left), to.deviation[c] = half_of(sqrt(variance));
        to.power[c] = half_of(scale), to.center[c] = half_of(left * scale);
        to.inverse[c] = half_of(inverse / scale);
        lines[c] = (float)slope;
        lines[s.width + c] = (float)(wide(beta[c]) - left * slope);
    }
    if (done) {
        for (int c = m->channels; c < s.width; c++) lines[c] = lines[s.width + c] = 0;
        spread_out w = {.m = m, .mean = to.mean, .slope = lines, .offset = lines + s.width,
                        .to = y};
        done = write_lines(w, forth_task);
    }
    free(lines);
    free(s.sums);
    return done;
}

int normalize_back(const matrix *m, const uint16_t *slopes, const uint16_t *gamma,
                   column_statistics of, uint16_t *of_x, uint16_t *of_gamma,
                   uint16_t *of_beta) {
    if (!m->channels) return 1;
    sweep s = {.m = m, .slopes = slopes, .mean = of.mean};
    int done = run_sweep(&s, slopes_task);
    float *lines = malloc(sizeof(float) * 3 * (size_t)s.width);
    done = done && lines;
    double rows = (double)(m->rows > 0 ? m->rows : 1);
    for (int c = 0; done && c < m->channels; c++) {
        double scale = wide(of.power[c]);
        double inverse = wide(of.inverse[c]) * scale;
        double left = wide(of.center[c]) / scale;
        double sum = s.sums[c], along = (s.sums[s.width + c] - left * sum) * inverse;
        of_gamma[c] = half_of(along), of_beta[c] = half_of(sum);
        double slope = along / rows * inverse;
        lines[c] = (float)slope;
        lines[s.width + c] = (float)(sum / rows - left * slope);
        lines[2 * s.width + c] = (float)(wide(gamma[c]) * inverse);
    }
    if (done) {
        for (int c = m->channels; c < s.width; c++)
            lines[c] = lines[s.width + c] = lines[2 * s.width + c] = 0;
        spread_out w = {.m = m, .slopes = slopes, .mean = of.mean, .slope = lines,
                        .offset = lines + s.width, .steepness = lines + 2 * s.width, .to = of_x};
        done = write_lines(w, back_task);
    }
    free(lines);
    free(s.sums);
    return done;
}

/* ---- moving averages -------------------------------------------------------------------- */

/* What a unit of the fraction beside a float16 is worth. */
static double unit_of(double x) {
    int exponent = x == 0 ? LOWEST : exponent_of(x);
    return power((exponent < LOWEST ? LOWEST : exponent) - MANTISSA - FRACTION);
}

static double joined(kept_average a, int c) {
    double x = wide(a.average[c]);
    return isfinite(x) ? x + a.fraction[c] * unit_of(x) : x;
}

static void keep(kept_average a, int c, double x) {
    a.average[c] = half_of(x);
    double rounded = wide(a.average[c]);
    double units = isfinite(rounded) ? rint((x - rounded) / unit_of(rounded)) : 0;
    if (units > INT16_MAX) units = INT16_MAX;
    if (units < -INT16_MAX) units = -INT16_MAX;
    a.fraction[c] = (int16_t)units;
}

void move_statistics(int channels, kept_average mean, kept_average deviation,
                     column_statistics towards, float share, kept_average moved_mean,
                     kept_average moved_deviation) {
    for (int c = 0; c < channels; c++) {
        double to = wide(towards.mean[c]) + wide(towards.beyond[c]);
        double from = joined(mean, c);
        keep(moved_mean, c, from + (double)share * (to - from));
        to = wide(towards.deviation[c]), from = joined(deviation, c);
        double square = from * from + (double)share * (to * to - from * from);
        keep(moved_deviation, c, sqrt(square < 0 ? 0 : square));
    }
}
