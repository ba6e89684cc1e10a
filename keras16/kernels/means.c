/* Means of windows over float16 images, and their gradient.
 *
 * Both are sums of rectangles, of what a window holds or of the windows that hold a place,
 * in float32 and rounded once. What each number counts is the product of a share by its
 * line and one by its column.
 */
#include "kernels.h"

#include <stdlib.h>

#include "threads.h"
#include "vectors.h"
#include "windows.h"

enum {
    LINES = 8,   /* of sums, of a task */
    AT_ONCE = 4, /* vectors of channels, in registers */
};

/* One direction, along an axis: the numbers of each sum, what each of them counts, and what
 * the sum is times in the end. All in one block of memory. */
typedef struct {
    int sums, length;
    span *spans;
    float *scales, *shares;
} side;

typedef struct {
    side lines, columns;
    int64_t all; /* lines of sums */
    int channels;
    const uint16_t *x;
    uint16_t *to;
} rectangles;

/* Sums of a rectangle, of some vectors of channels; x is the image's first number of them. */
static inline __attribute__((always_inline)) void sum_rectangle(const rectangles *r,
                                                                const int count,
                                                                const uint16_t *x, span lines,
                                                                span columns, float scale,
                                                                filled last, uint16_t *to) {
    numbers sum[AT_ONCE];
    for (int k = 0; k < count; k++) sum[k] = n_zero();
    for (int line = lines.first; line < lines.last; line++) {
        const uint16_t *at = x + ((size_t)line * r->columns.length + columns.first) * r->channels;
        for (int column = columns.first; column < columns.last; column++, at += r->channels) {
            numbers share = n_all(r->lines.shares[line] * r->columns.shares[column]);
            for (int k = 0; k < count; k++) {
                numbers of = k < count - 1 ? loaded(at + k * LANES, ALL)
                                          : loaded(at + k * LANES, last);
                sum[k] = n_fma(of, share, sum[k]);
            }
        }
    }
    for (int k = 0; k < count; k++)
        put(to + k * LANES, k < count - 1 ? ALL : last,
            n_mul(sum[k], n_all(scale)));
}

/* The same of what is left of the channels, of AT_ONCE vectors at most. */
static void sum_vectors(const rectangles *r, const uint16_t *x, span lines, span columns,
                        float scale, int left, uint16_t *to) {
    if (left > 3 * LANES)
        sum_rectangle(r, 4, x, lines, columns, scale, lanes_at(left, 3 * LANES), to);
    else if (left > 2 * LANES)
        sum_rectangle(r, 3, x, lines, columns, scale, lanes_at(left, 2 * LANES), to);
    else if (left > LANES)
        sum_rectangle(r, 2, x, lines, columns, scale, lanes_at(left, LANES), to);
    else
        sum_rectangle(r, 1, x, lines, columns, scale, lanes_at(left, 0), to);
}

/* One line of sums, of all images. */
static void sum_line(const rectangles *r, int64_t number) {
    int line = (int)(number % r->lines.sums);
    span lines = r->lines.spans[line];
    const uint16_t *x = r->x + (size_t)(number / r->lines.sums) * r->lines.length *
                                   r->columns.length * r->channels;
    uint16_t *to = r->to + (size_t)number * r->columns.sums * r->channels;
    for (int column = 0; column < r->columns.sums; column++, to += r->channels) {
        span of = r->columns.spans[column];
        float scale = r->lines.scales[line] * r->columns.scales[column];
        for (int first = 0; first < r->channels; first += AT_ONCE * LANES)
            sum_vectors(r, x + first, lines, of, scale, r->channels - first, to + first);
    }
}

/* Some lines of sums. */
static void sum_lines(void *context, int task) {
    const rectangles *r = context;
    int64_t from = (int64_t)task * LINES, until = from + LINES;
    for (int64_t i = from; i < until && i < r->all; i++) sum_line(r, i);
}

/* One over how many places of the image a window holds. */
static float share_of(const axis *a, int window) {
    span places = places_of(a, window);
    return places.last > places.first + 1 ? 1 / (float)(places.last - places.first) : 1;
}

static int fill_side(side *s, const axis *a, int is_back) {
    s->sums = is_back ? a->size : a->windows;
    s->length = is_back ? a->windows : a->size;
    s->spans = malloc((sizeof(span) + sizeof(float)) * (size_t)s->sums +
                      sizeof(float) * (size_t)s->length);
    if (!s->spans) return 0;
    s->scales = (float *)(s->spans + s->sums);
    s->shares = s->scales + s->sums;
    for (int i = 0; i < s->length; i++) s->shares[i] = is_back ? share_of(a, i) : 1;
    for (int i = 0; i < s->sums; i++) {
        s->scales[i] = is_back ? 1 : share_of(a, i);
        s->spans[i] = is_back ? windows_with(a, i) : places_of(a, i);
    }
    return 1;
}

static int sum_rectangles(const convolution *c, int is_back, const uint16_t *x, uint16_t *to) {
    axis lines = {c->height, c->out_height, c->window_height, c->stride_rows, c->top};
    axis columns = {c->width, c->out_width, c->window_width, c->stride_columns, c->left};
    rectangles r = {.channels = c->channels, .x = x, .to = to};
    int has_memory = fill_side(&r.lines, &lines, is_back);
    has_memory &= fill_side(&r.columns, &columns, is_back);
    /* Of every window each place is read once, forth and back. */
    double places = (double)c->images * c->out_height * c->out_width * c->window_height *
                    c->window_width * whole_vectors(c->channels);
    r.all = (int64_t)c->images * r.lines.sums;
    int done = has_memory && run_in_parallel((int)((r.all + LINES - 1) / LINES),
                                             places / LANES, sum_lines, &r);
    free(r.lines.spans);
    free(r.columns.spans);
    return done;
}

int window_means(const convolution *c, const uint16_t *x, uint16_t *y) {
    return sum_rectangles(c, 0, x, y);
}

int window_means_back(const convolution *c, const uint16_t *slopes, uint16_t *x) {
    return sum_rectangles(c, 1, slopes, x);
}
