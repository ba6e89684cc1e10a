/* Sums of a float16 matrix over its rows and along them, and extremes along them.
 *
 * As in any product with a vector of ones, what is added is exact, sums are float32 in
 * registers, and each is rounded to float16 once; they are added in the same order on any
 * number of cores.
 */
#include "kernels.h"

#include <stdlib.h>
#include <string.h>

#include "threads.h"
#include "vectors.h"

enum { SIDE = 4 }; /* vectors of sums at the same time */

typedef struct {
    const matrix *m;
    int ranges, width; /* channels in whole vectors */
    float *sums;       /* [ranges, width] */
} sweep;

static inline __attribute__((always_inline)) void rows_of(const sweep *s, const int vectors,
                                                          int64_t first, int64_t last,
                                                          int column, float *to) {
    const int side = SIDE / vectors;
    numbers sum[SIDE];
    filled lanes[SIDE];
    for (int v = 0; v < vectors; v++) lanes[v] = lanes_at(s->m->channels, column + v * LANES);
    for (int i = 0; i < SIDE; i++) sum[i] = n_zero();
    for (int64_t row = first; row < last; row += side)
        for (int r = 0; r < side && row + r < last; r++)
            for (int v = 0; v < vectors; v++) {
                size_t at = (size_t)(row + r) * s->m->channels + column + v * LANES;
                int i = r * vectors + v;
                sum[i] = n_add(sum[i], loaded(s->m->x + at, lanes[v]));
            }
    for (int v = 0; v < vectors; v++) {
        for (int r = 1; r < side; r++) sum[v] = n_add(sum[v], sum[r * vectors + v]);
        n_store(to + v * LANES, sum[v]);
    }
}

/* All columns of a range of rows, as many side by side as there are registers for. */
static void range_task(void *context, int range) {
    const sweep *s = context;
    int64_t first = s->m->rows * range / s->ranges, last = s->m->rows * (range + 1) / s->ranges;
    float *to = s->sums + (size_t)range * s->width;
    int left = s->width / LANES, column = 0;
#define SWEEP(VECTORS)                                                \
    for (; left >= VECTORS; left -= VECTORS, column += VECTORS * LANES) \
        rows_of(s, VECTORS, first, last, column, to + column);
    SWEEP(4)
    SWEEP(2)
    SWEEP(1)
#undef SWEEP
}

/* About what it takes to read a matrix. */
static double nanoseconds(const matrix *m) { return 0.2 * (double)m->rows * m->channels; }

int row_sums(const matrix *m, int64_t over, uint16_t *sums) {
    sweep s = {.m = m, .ranges = ranges_of(m->rows), .width = whole_vectors(m->channels)};
    s.sums = malloc(sizeof(float) * (size_t)s.ranges * (size_t)s.width);
    if (!s.sums) return 0;
    int done = run_in_parallel(s.ranges, nanoseconds(m), range_task, &s);
    for (int c = 0; done && c < m->channels; c++) {
        double sum = 0;
        for (int range = 0; range < s.ranges; range++) sum += s.sums[(size_t)range * s.width + c];
        sums[c] = _cvtss_sh((float)(sum / (double)over), _MM_FROUND_TO_NEAREST_INT);
    }
    free(s.sums);
    return done;
}

/* Matrices of a shape, one behind the other. */
typedef struct {
    matrix first;
    int64_t over;
    uint16_t *sums;
} matrices;

static void matrix_task(void *context, int i) {
    const matrices *w = context;
    matrix m = w->first;
    m.x += (size_t)i * m.rows * m.channels;
    if (!row_sums(&m, w->over, w->sums + (size_t)i * m.channels)) out_of_memory();
}

int row_sums_of_each(const matrix *m, int count, int64_t over, uint16_t *sums) {
    matrices w = {*m, over, sums};
    return run_in_parallel(count, count * nanoseconds(m), matrix_task, &w);
}

/* ---- along rows ------------------------------------------------------------------- */

enum {
    ROWS = 64,              /* of a task */
    LONGEST_PART = 1 << 16, /* of a row */
};

/* A whole number in the order of the numbers, NaN beyond the infinities; and back. */
static inline integers key(integers x) {
    return i_xor(x, i_and(i_shifted_signed(x, 15), i_all(0x7fff)));
}

typedef struct {
    const matrix *m;
    int64_t over;
    uint16_t *sums, *highest, *lowest;
} row_work;

/* The sum of up to so many numbers that float32 loses nothing which float16 would show. */
static double sum_of_part(const uint16_t *x, int length) {
    if (length > LONGEST_PART) length = LONGEST_PART;
    numbers sum[2] = {n_zero(), n_zero()};
    int i = 0, side = 0;
    for (; i + LANES <= length; i += LANES, side ^= 1)
        sum[side] = n_add(sum[side], loaded(x + i, ALL));
    if (i < length) sum[side] = n_add(sum[side], loaded(x + i, lanes_at(length, i)));
    return n_sum(n_add(sum[0], sum[1]));
}

static void rows_task(void *context, int task) {
    const row_work *w = context;
    int64_t end = ((int64_t)task + 1) * ROWS;
    if (end > w->m->rows) end = w->m->rows;
    for (int64_t row = (int64_t)task * ROWS; row < end; row++) {
        const uint16_t *x = w->m->x + row * w->m->channels;
        double all = 0;
        for (int first = 0; first < w->m->channels; first += LONGEST_PART)
            all += sum_of_part(x + first, w->m->channels - first);
        w->sums[row] = _cvtss_sh((float)(all / (double)w->over), _MM_FROUND_TO_NEAREST_INT);
    }
}

int sums_of_rows(const matrix *m, int64_t over, uint16_t *sums) {
    row_work w = {m, over, sums, NULL, NULL};
    return run_in_parallel((int)((m->rows + ROWS - 1) / ROWS), nanoseconds(m), rows_task, &w);
}

static void extremes_task(void *context, int task) {
    const row_work *w = context;
    int64_t end = ((int64_t)task + 1) * ROWS;
    if (end > w->m->rows) end = w->m->rows;
    for (int64_t row = (int64_t)task * ROWS; row < end; row++) {
        const uint16_t *x = w->m->x + row * w->m->channels;
        integers most = i_all(INT16_MIN), least = i_all(INT16_MAX);
        for (int i = 0; i < w->m->channels; i += LANES) {
            filled lanes = lanes_at(w->m->channels, i);
            integers k = key(h_integers(h_load(x + i, lanes)));
            most = i_where(chosen_of(lanes), i_max(most, k), most);
            least = i_where(chosen_of(lanes), i_min(least, k), least);
        }
        int high = i_highest(most);
        int low = i_lowest(least);
        w->highest[row] = (uint16_t)(high ^ (high < 0 ? 0x7fff : 0));
        w->lowest[row] = (uint16_t)(low ^ (low < 0 ? 0x7fff : 0));
    }
}

int extremes_of_rows(const matrix *m, uint16_t *highest, uint16_t *lowest) {
    row_work w = {m, 1, NULL, highest, lowest};
    return run_in_parallel((int)((m->rows + ROWS - 1) / ROWS), nanoseconds(m), extremes_task, &w);
}
