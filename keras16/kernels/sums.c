/* Sums over the rows of a float16 matrix, and what a normalization asks of its columns.
 *
 * Numbers are read once for all that is asked of them. As in any product with a vector of
 * ones, what is added is exact, sums are float32 in registers, and each is rounded to
 * float16 once; they are added in the same order on any number of cores.
 */
#include "kernels.h"

#include <stdlib.h>
#include <string.h>

#include "threads.h"
#include "vectors.h"

enum {
    SIDE = 4,             /* vectors of sums at the same time */
    RANGES = 16,          /* of rows, at least: each has its own sums */
    LONGEST_RANGE = 8192, /* rows; float32 loses nothing that float16 would show */
};

typedef enum { SUM, EXTREMES, LINE, PRODUCT } question;

typedef struct {
    question asked;
    const uint16_t *x, *y, *slope, *offset;
    uint16_t *line;
    int64_t rows;
    int channels, ranges;
    float *sums;     /* [ranges, 2, channels in whole vectors] */
    int16_t *bounds; /* likewise: the largest and smallest keys */
} sweep;

static inline __m512 wide(__m256i x) { return _mm512_cvtph_ps(x); }

/* A whole number in the order of the numbers, NaN beyond the infinities; and back. */
static inline __m256i key(__m256i x) {
    return _mm256_xor_si256(
        x, _mm256_and_si256(_mm256_srai_epi16(x, 15), _mm256_set1_epi16(0x7fff)));
}

static inline __attribute__((always_inline)) void rows_of(const sweep *s, const int vectors,
                                                          const int side, int64_t first,
                                                          int64_t last, int column, int range) {
    const int all = vectors * side;
    __m512 sum[SIDE], more[SIDE], slope[SIDE], offset[SIDE];
    __m256i most[SIDE], least[SIDE];
    __mmask16 lanes[SIDE];
    for (int v = 0; v < vectors; v++) {
        lanes[v] = lanes_at(s->channels, column + v * LANES);
        if (s->asked == LINE) {
            slope[v] = loaded(s->slope + column + v * LANES, lanes[v]);
            offset[v] = loaded(s->offset + column + v * LANES, lanes[v]);
        }
    }
    for (int i = 0; i < all; i++) {
        sum[i] = more[i] = _mm512_setzero_ps();
        most[i] = _mm256_set1_epi16(INT16_MIN);
        least[i] = _mm256_set1_epi16(INT16_MAX);
    }
    for (int64_t row = first; row < last; row += side)
        for (int r = 0; r < side; r++) {
            if (row + r >= last) break;
            for (int v = 0; v < vectors; v++) {
                size_t at = (size_t)(row + r) * s->channels + column + v * LANES;
                int i = r * vectors + v;
                __m256i given = _mm256_maskz_loadu_epi16(lanes[v], s->x + at);
                if (s->asked == LINE) {
                    given = rounded(_mm512_fmadd_ps(wide(given), slope[v], offset[v]));
                    _mm256_mask_storeu_epi16(s->line + at, lanes[v], given);
                }
                __m512 x = wide(given);
                sum[i] = _mm512_add_ps(sum[i], x);
                if (s->asked == LINE) more[i] = _mm512_fmadd_ps(x, x, more[i]);
                if (s->asked == PRODUCT) {
                    more[i] = _mm512_fmadd_ps(x, loaded(s->y + at, lanes[v]), more[i]);
                }
                if (s->asked == EXTREMES) {
                    __m256i k = key(given);
                    most[i] = _mm256_max_epi16(most[i], k);
                    least[i] = _mm256_min_epi16(least[i], k);
                }
            }
        }
    size_t width = (size_t)(s->channels + LANES - 1) / LANES * LANES;
    float *sums = s->sums + (size_t)range * 2 * width + column;
    int16_t *bounds = s->bounds + (size_t)range * 2 * width + column;
    for (int v = 0; v < vectors; v++) {
        for (int r = 1; r < side; r++) {
            int i = r * vectors + v;
            sum[v] = _mm512_add_ps(sum[v], sum[i]);
            more[v] = _mm512_add_ps(more[v], more[i]);
            most[v] = _mm256_max_epi16(most[v], most[i]);
            least[v] = _mm256_min_epi16(least[v], least[i]);
        }
        _mm512_storeu_ps(sums + v * LANES, sum[v]);
        _mm512_storeu_ps(sums + width + v * LANES, more[v]);
        if (s->asked != EXTREMES) continue;
        _mm256_storeu_si256((__m256i *)(bounds + v * LANES), most[v]);
        _mm256_storeu_si256((__m256i *)(bounds + width + v * LANES), least[v]);
    }
}

/* All columns of a range of rows, as many side by side as there are registers for. */
static inline __attribute__((always_inline)) void columns_of(const sweep *s, int range) {
    int64_t first = s->rows * range / s->ranges, last = s->rows * (range + 1) / s->ranges;
    int left = (s->channels + LANES - 1) / LANES, column = 0;
    for (; left >= 4; left -= 4, column += 4 * LANES) rows_of(s, 4, 1, first, last, column, range);
    for (; left >= 2; left -= 2, column += 2 * LANES) rows_of(s, 2, 2, first, last, column, range);
    for (; left; left--, column += LANES) rows_of(s, 1, 4, first, last, column, range);
}

/* One function a question, so that none is asked in a loop. */
#define SWEEP(NAME, ASKED)                        \
    static void NAME(void *context, int range) {  \
        sweep s = *(const sweep *)context;        \
        s.asked = ASKED;                          \
        columns_of(&s, range);                    \
    }
SWEEP(sweep_sum, SUM)
SWEEP(sweep_extremes, EXTREMES)
SWEEP(sweep_line, LINE)
SWEEP(sweep_product, PRODUCT)

static void round_sums(const sweep *s, int which, int64_t over, uint16_t *to) {
    size_t width = (size_t)(s->channels + LANES - 1) / LANES * LANES;
    for (int c = 0; c < s->channels; c++) {
        double sum = 0;
        for (int range = 0; range < s->ranges; range++)
            sum += s->sums[((size_t)range * 2 + which) * width + c];
        to[c] = _cvtss_sh((float)(sum / (double)over), _MM_FROUND_TO_NEAREST_INT);
    }
}

static void bound(const sweep *s, uint16_t *highest, uint16_t *lowest) {
    size_t width = (size_t)(s->channels + LANES - 1) / LANES * LANES;
    for (int c = 0; c < s->channels; c++) {
        int16_t most = INT16_MIN, least = INT16_MAX;
        for (int range = 0; range < s->ranges; range++) {
            const int16_t *of = s->bounds + (size_t)range * 2 * width + c;
            if (of[0] > most) most = of[0];
            if (of[width] < least) least = of[width];
        }
        highest[c] = (uint16_t)(most ^ (most < 0 ? 0x7fff : 0));
        lowest[c] = (uint16_t)(least ^ (least < 0 ? 0x7fff : 0));
    }
}

static int answer(sweep s, void (*task)(void *, int), int64_t over, uint16_t *const *to) {
    int64_t ranges = (s.rows + LONGEST_RANGE - 1) / LONGEST_RANGE;
    s.ranges = (int)(ranges > RANGES ? ranges : RANGES);
    size_t count = (size_t)s.ranges * 2 * ((size_t)(s.channels + LANES - 1) / LANES * LANES);
    s.sums = malloc((sizeof(float) + sizeof(int16_t)) * count);
    if (!s.sums) return 0;
    s.bounds = (int16_t *)(s.sums + count);
    int done = run_in_parallel(s.ranges, task, &s);
    if (done) {
        round_sums(&s, 0, over, to[0]);
        if (s.asked == EXTREMES) bound(&s, to[1], to[2]);
        if (s.asked == LINE || s.asked == PRODUCT) round_sums(&s, 1, over, to[1]);
    }
    free(s.sums);
    return done;
}

int row_sums(const matrix *m, int64_t over, uint16_t *sums) {
    sweep s = {.asked = SUM, .x = m->x, .rows = m->rows, .channels = m->channels};
    uint16_t *to[] = {sums};
    return answer(s, sweep_sum, over, to);
}

int sums_and_extremes(const matrix *m, int64_t over, uint16_t *sums, uint16_t *highest,
                      uint16_t *lowest) {
    sweep s = {.asked = EXTREMES, .x = m->x, .rows = m->rows, .channels = m->channels};
    uint16_t *to[] = {sums, highest, lowest};
    return answer(s, sweep_extremes, over, to);
}

int line_and_sums(const matrix *m, const uint16_t *slope, const uint16_t *offset, int64_t over,
                  uint16_t *line, uint16_t *sums, uint16_t *squares) {
    sweep s = {.asked = LINE, .x = m->x, .slope = slope, .offset = offset, .line = line,
               .rows = m->rows, .channels = m->channels};
    uint16_t *to[] = {sums, squares};
    return answer(s, sweep_line, over, to);
}

int sums_with(const matrix *m, const uint16_t *other, int64_t over, uint16_t *sums,
              uint16_t *products) {
    sweep s = {.asked = PRODUCT, .x = m->x, .y = other, .rows = m->rows,
               .channels = m->channels};
    uint16_t *to[] = {sums, products};
    return answer(s, sweep_product, over, to);
}

/* ---- along rows ------------------------------------------------------------------- */

enum { ROWS = 64 }; /* of a task */

typedef struct {
    const matrix *m;
    int64_t over;
    uint16_t *sums, *highest, *lowest;
} row_work;

static void rows_task(void *context, int task) {
    const row_work *w = context;
    int64_t end = ((int64_t)task + 1) * ROWS;
    if (end > w->m->rows) end = w->m->rows;
    for (int64_t row = (int64_t)task * ROWS; row < end; row++) {
        const uint16_t *x = w->m->x + row * w->m->channels;
        __m512 sum[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
        int i = 0, side = 0;
        for (; i + LANES <= w->m->channels; i += LANES, side ^= 1)
            sum[side] = _mm512_add_ps(sum[side], loaded(x + i, 0xffff));
        sum[side] = _mm512_add_ps(sum[side], loaded(x + i, lanes_at(w->m->channels, i)));
        double all = _mm512_reduce_add_ps(_mm512_add_ps(sum[0], sum[1]));
        w->sums[row] = _cvtss_sh((float)(all / (double)w->over), _MM_FROUND_TO_NEAREST_INT);
    }
}

int sums_of_rows(const matrix *m, int64_t over, uint16_t *sums) {
    row_work w = {m, over, sums, NULL, NULL};
    return run_in_parallel((int)((m->rows + ROWS - 1) / ROWS), rows_task, &w);
}

static void extremes_task(void *context, int task) {
    const row_work *w = context;
    int64_t end = ((int64_t)task + 1) * ROWS;
    if (end > w->m->rows) end = w->m->rows;
    for (int64_t row = (int64_t)task * ROWS; row < end; row++) {
        const uint16_t *x = w->m->x + row * w->m->channels;
        __m256i most = _mm256_set1_epi16(INT16_MIN), least = _mm256_set1_epi16(INT16_MAX);
        for (int i = 0; i < w->m->channels; i += LANES) {
            __mmask16 lanes = lanes_at(w->m->channels, i);
            __m256i k = key(_mm256_maskz_loadu_epi16(lanes, x + i));
            most = _mm256_mask_max_epi16(most, lanes, most, k);
            least = _mm256_mask_min_epi16(least, lanes, least, k);
        }
        int high = _mm512_reduce_max_epi32(_mm512_cvtepi16_epi32(most));
        int low = _mm512_reduce_min_epi32(_mm512_cvtepi16_epi32(least));
        w->highest[row] = (uint16_t)(high ^ (high < 0 ? 0x7fff : 0));
        w->lowest[row] = (uint16_t)(low ^ (low < 0 ? 0x7fff : 0));
    }
}

int extremes_of_rows(const matrix *m, uint16_t *highest, uint16_t *lowest) {
    row_work w = {m, 1, NULL, highest, lowest};
    return run_in_parallel((int)((m->rows + ROWS - 1) / ROWS), extremes_task, &w);
}
