/* Depthwise convolutions of float16, channel by channel, as many at a time as there
 * are lanes.
 *
 * Products are added in float32 registers and rounded once. A gradient of a kernel is
 * added up line by line, the lines in ranges of a fixed number: the same sums in the same
 * order on any number of cores.
 */
#include "kernels.h"

#include <stdlib.h>
#include <string.h>

#include "threads.h"
#include "vectors.h"

enum {
    LINES = 8,     /* of results, of a task */
    SIDE = 4,      /* results, side by side */
    MOST_TAPS = 9, /* of a window, likewise */
};

/* One direction: a convolution steps by its stride over what it reads, its transpose by
 * one, over numbers with holes between them, the kernel turned around. */
typedef struct {
    int images, channels, window_height, window_width, tap_rows, tap_columns;
    int height, width, out_height, out_width;
    int stride_rows, stride_columns, hole_rows, hole_columns, top, left;
} plan;

typedef struct {
    plan p;
    const uint16_t *x, *slopes; /* images, and slopes where there are some */
    uint16_t *out;
    const float *kernel; /* [window height, window width, channels in whole vectors] */
    int width;           /* channels in whole vectors */
    float *sums;         /* [ranges, window height, window width, width] */
} depthwise_work;

/* How many numbers of a line its windows see, zeros around them included. */
static int seen(const plan *p) {
    return (p->out_width + SIDE * p->hole_columns - 2) * p->stride_columns +
           (p->window_width - 1) * p->tap_columns + 1;
}

/* A line of a vector's channels in float32 with zeros around it, and in its holes. */
static void widen_line(const plan *p, const uint16_t *pixels, filled lanes, float *to) {
    int length = seen(p);
    int from = p->left < 0 ? (-p->left + p->hole_columns - 1) / p->hole_columns : 0;
    int first = from * p->hole_columns + p->left;
    int count = first < length ? (length - first + p->hole_columns - 1) / p->hole_columns : 0;
    if (count > p->width - from) count = p->width > from ? p->width - from : 0;
    int end = count ? first + (count - 1) * p->hole_columns + 1 : 0;
    if (p->hole_columns > 1 || !count) {
        memset(to, 0, sizeof(float) * LANES * (size_t)length);
    } else {
        memset(to, 0, sizeof(float) * LANES * (size_t)first);
        memset(to + (size_t)end * LANES, 0, sizeof(float) * LANES * (size_t)(length - end));
    }
    const uint16_t *x = pixels + (size_t)from * p->channels;
    float *at = to + (size_t)first * LANES;
    for (int i = 0; i < count; i++, x += p->channels, at += p->hole_columns * LANES)
        n_store(at, loaded(x, lanes));
}

/* Lines in float32, kept until others take their places: neighbouring lines of results
 * read the same ones. */
typedef struct {
    float *lines;
    int64_t *held; /* which line, of all images, each place has; -1 for none */
    size_t length;
    int count;
} ring;

static int begin_ring(const plan *p, ring *r) {
    r->count = (p->window_height - 1) * p->tap_rows + 1;
    r->length = (size_t)seen(p) * LANES;
    r->lines = thread_memory(0, sizeof(float) * r->length * (size_t)r->count);
    r->held = thread_memory(1, sizeof(int64_t) * (size_t)r->count);
    return r->lines && r->held;
}

static void empty_ring(ring *r) {
    for (int i = 0; i < r->count; i++) r->held[i] = -1;
}

/* The line of an image that a line of results reads by a row of the window, or -1. */
static int line_read(const plan *p, int line, int row) {
    int where = line * p->stride_rows + row * p->tap_rows - p->top;
    int read = p->hole_rows == 1 ? where : where / p->hole_rows; /* divisions take longest */
    return where < 0 || read * p->hole_rows != where || read >= p->height ? -1 : read;
}

/* One tap of the window in a line of results: what it reads, and which place it is. */
typedef struct {
    const float *read;
    int place;
} tap;

/* The taps of a line of results that lie in its image, their lines widened. */
static int taps_of(const depthwise_work *w, ring *r, int64_t result, int first, tap *taps) {
    const plan *p = &w->p;
    int image = (int)(result / p->out_height), line = (int)(result % p->out_height), count = 0;
    for (int row = 0; row < p->window_height; row++) {
        int from = line_read(p, line, row);
        if (from < 0) continue;
        int64_t id = (int64_t)image * p->height + from;
        int at = from % r->count;
        float *to = r->lines + (size_t)at * r->length;
        if (r->held[at] != id) {
            widen_line(p, w->x + (size_t)id * p->width * p->channels + first,
                       lanes_at(p->channels, first), to);
            r->held[at] = id;
        }
        for (int column = 0; column < p->window_width; column++)
            taps[count++] = (tap){to + (size_t)column * p->tap_columns * LANES,
                                  row * p->window_width + column};
    }
    return count;
}

/* Of some taps those that find no holes, in results that lie so far from the first. */
static int without_holes(const plan *p, const tap *taps, int count, int phase, tap *kept) {
    int found = 0;
    for (int t = 0; t < count; t++) {
        int column = taps[t].place % p->window_width;
        if ((phase + column * p->tap_columns - p->left) % p->hole_columns == 0)
            kept[found++] = taps[t];
    }
    return found;
}

/* Every so manyth result of a line from a first one on. */
static void results_of(const depthwise_work *w, const tap *taps, int count, int64_t line,
                       int channel, int begin) {
    const plan *p = &w->p;
    filled lanes = lanes_at(p->channels, channel);
    uint16_t *out = w->out + (size_t)line * p->out_width * p->channels + channel;
    size_t step = (size_t)p->stride_columns * p->hole_columns * LANES;
    for (int x = begin; x < p->out_width; x += SIDE * p->hole_columns) {
        numbers sum[SIDE];
        for (int i = 0; i < SIDE; i++) sum[i] = n_zero();
        for (int t = 0; t < count; t++) {
            const float *of = taps[t].read + (size_t)x * p->stride_columns * LANES;
            numbers weight = n_load(w->kernel + (size_t)taps[t].place * w->width + channel);
            for (int i = 0; i < SIDE; i++)
                sum[i] = n_fma(n_load(of + i * step), weight, sum[i]);
        }
        for (int i = 0; i < SIDE && x + i * p->hole_columns < p->out_width; i++)
            put(out + (size_t)(x + i * p->hole_columns) * p->channels, lanes, sum[i]);
    }
}

/* Some lines of results. */
static void result_lines(void *context, int task) {
    const depthwise_work *w = context;
    const plan *p = &w->p;
    ring r;
    int places = p->window_height * p->window_width;
    tap *taps = thread_memory(2, 2 * sizeof(tap) * (size_t)places), *kept = taps + places;
    if (!begin_ring(p, &r) || !taps) return out_of_memory();
    int64_t from = (int64_t)task * LINES, all = (int64_t)p->images * p->out_height;
    int64_t until = from + LINES < all ? from + LINES : all;
    for (int first = 0; first < p->channels; first += LANES) {
        empty_ring(&r);
        for (int64_t line = from; line < until; line++) {
            int count = taps_of(w, &r, line, first, taps);
            if (p->hole_columns == 1) {
                results_of(w, taps, count, line, first, 0);
                continue;
            }
            for (int phase = 0; phase < p->hole_columns; phase++)
                results_of(w, kept, without_holes(p, taps, count, phase, kept), line, first,
                           phase);
        }
    }
}

/* Adds what a line of slopes gives to some places of a window. */
static inline __attribute__((always_inline)) void add_line(const depthwise_work *w,
                                                           const int count, const tap *taps,
                                                           const float *slopes, float *to) {
    size_t step = (size_t)w->p.stride_columns * LANES;
    numbers sum[MOST_TAPS];
    for (int k = 0; k < count; k++) sum[k] = n_zero();
    for (int x = 0; x < w->p.out_width; x++, slopes += LANES) {
        numbers slope = n_load(slopes);
        for (int k = 0; k < count; k++)
            sum[k] = n_fma(n_load(taps[k].read + x * step), slope, sum[k]);
    }
    for (int k = 0; k < count; k++) {
        float *at = to + (size_t)taps[k].place * w->width;
        n_store(at, n_add(n_load(at), sum[k]));
    }
}

static void add_taps(const depthwise_work *w, int count, const tap *taps, const float *slopes,
                     float *to) {
    for (; count >= MOST_TAPS; count -= MOST_TAPS, taps += MOST_TAPS)
        add_line(w, MOST_TAPS, taps, slopes, to);
    for (; count >= 3; count -= 3, taps += 3) add_line(w, 3, taps, slopes, to);
    for (; count; count--, taps++) add_line(w, 1, taps, slopes, to);
}

/* The sums of a kernel's gradient over a range of lines of results. */
static void kernel_range(void *context, int range) {
    const depthwise_work *w = context;
    const plan *p = &w->p;
    int64_t all = (int64_t)p->images * p->out_height;
    size_t places = (size_t)p->window_height * p->window_width, size = places * w->width;
    float *sums = w->sums + (size_t)range * size;
    ring r;
    tap *taps = thread_memory(2, sizeof(tap) * places);
    float *slopes = thread_memory(3, sizeof(float) * LANES * (size_t)p->out_width);
    if (!begin_ring(p, &r) || !taps || !slopes) return out_of_memory();
    memset(sums, 0, sizeof(float) * size);
    for (int first = 0; first < p->channels; first += LANES) {
        filled lanes = lanes_at(p->channels, first);
        empty_ring(&r);
        for (int64_t i = all * range / RANGES; i < all * (range + 1) / RANGES; i++) {
            const uint16_t *of = w->slopes + (size_t)i * p->out_width * p->channels + first;
            for (int x = 0; x < p->out_width; x++, of += p->channels)
                n_store(slopes + (size_t)x * LANES, loaded(of, lanes));
            add_taps(w, taps_of(w, &r, i, first, taps), taps, slopes, sums + first);
        }
    }
}

static plan plan_of(const convolution *c) {
    return (plan){
        c->images, c->channels, c->window_height, c->window_width, c->tap_rows, c->tap_columns,
        c->height, c->width, c->out_height, c->out_width,
        c->stride_rows, c->stride_columns, 1, 1, c->top, c->left,
    };
}

static plan turned(const convolution *c) {
    return (plan){
        c->images, c->channels, c->window_height, c->window_width, c->tap_rows, c->tap_columns,
        c->out_height, c->out_width, c->height, c->width,
        1, 1, c->stride_rows, c->stride_columns,
        (c->window_height - 1) * c->tap_rows - c->top,
        (c->window_width - 1) * c->tap_columns - c->left,
    };
}

/* A kernel in float32, its channels in whole vectors; NULL where there is no memory. */
static float *wide_kernel(const plan *p, const uint16_t *kernel, int is_turned) {
    int width = whole_vectors(p->channels), places = p->window_height * p->window_width;
    float *wide = malloc(sizeof(float) * (size_t)places * (size_t)width);
    if (!wide) return NULL;
    for (int place = 0; place < places; place++) {
        int from = is_turned ? places - 1 - place : place;
        for (int first = 0; first < p->channels; first += LANES)
            n_store(wide + (size_t)place * width + first,
                    loaded(kernel + (size_t)from * p->channels + first,
                           lanes_at(p->channels, first)));
    }
    return wide;
}

/* About what a vector of products takes, times how many there are. */
static double nanoseconds(const plan *p, int width) {
    double places = (double)p->images * p->out_height * p->out_width;
    return places * p->window_height * p->window_width * width / LANES;
}

static int by_kernel(plan p, const uint16_t *x, const uint16_t *kernel, int is_turned,
                     uint16_t *out) {
    float *wide = wide_kernel(&p, kernel, is_turned);
    if (!wide) return 0;
    depthwise_work w = {.p = p, .x = x, .out = out, .kernel = wide,
                        .width = whole_vectors(p.channels)};
    int tasks = (p.images * p.out_height + LINES - 1) / LINES;
    int done = run_in_parallel(tasks, nanoseconds(&p, w.width), result_lines, &w);
    free(wide);
    return done;
}

int depthwise(const convolution *c, const uint16_t *x, const uint16_t *kernel, uint16_t *y) {
    return by_kernel(plan_of(c), x, kernel, 0, y);
}

int depthwise_back(const convolution *c, const uint16_t *slopes, const uint16_t *kernel,
                   uint16_t *x) {
    return by_kernel(turned(c), slopes, kernel, 1, x);
}

int depthwise_kernel_gradient(const convolution *c, const uint16_t *x, const uint16_t *slopes,
                              uint16_t *kernel) {
    int width = whole_vectors(c->channels), places = c->window_height * c->window_width;
    size_t size = (size_t)places * (size_t)width;
    depthwise_work w = {.p = plan_of(c), .x = x, .slopes = slopes, .out = kernel, .width = width,
                        .sums = malloc(sizeof(float) * size * RANGES)};
    if (!w.sums) return 0;
    int done = run_in_parallel(RANGES, nanoseconds(&w.p, width), kernel_range, &w);
    for (int place = 0; done && place < places; place++)
        for (int first = 0; first < c->channels; first += LANES) {
            const float *from = w.sums + (size_t)place * width + first;
            numbers sum = n_load(from);
            for (int range = 1; range < RANGES; range++)
                sum = n_add(sum, n_load(from + range * size));
            put(kernel + (size_t)place * c->channels + first, lanes_at(c->channels, first), sum);
        }
    free(w.sums);
    return done;
}
