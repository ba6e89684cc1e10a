/* Depthwise convolutions of float16, channel by channel, sixteen at a time.
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
    RANGES = 16,
    SIDE = 4, /* results, or places of a window, side by side */
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

static int whole(int channels) { return (channels + LANES - 1) / LANES * LANES; }

/* How many numbers of a line its windows see, zeros around them included. */
static int seen(const plan *p) {
    return (p->out_width + SIDE - 2) * p->stride_columns +
           (p->window_width - 1) * p->tap_columns + 1;
}

/* A line of sixteen channels in float32 with zeros around it, and in its holes. */
static void widen_line(const plan *p, const uint16_t *pixels, __mmask16 lanes, float *to) {
    int length = seen(p);
    memset(to, 0, sizeof(float) * LANES * (size_t)length);
    for (int x = 0; x < p->width; x++) {
        int place = x * p->hole_columns + p->left;
        if (place >= 0 && place < length)
            _mm512_store_ps(to + (size_t)place * LANES,
                            loaded(pixels + (size_t)x * p->channels, lanes));
    }
}

/* The line of an image that a line of results reads by a row of the window, or -1. */
static int line_read(const plan *p, int line, int row) {
    int where = line * p->stride_rows + row * p->tap_rows - p->top;
    if (where < 0 || where % p->hole_rows || where / p->hole_rows >= p->height) return -1;
    return where / p->hole_rows;
}

/* One line of results. */
static void result_line(void *context, int task) {
    const depthwise_work *w = context;
    const plan *p = &w->p;
    int image = task / p->out_height, line = task % p->out_height;
    size_t length = (size_t)seen(p) * LANES;
    float *lines = thread_memory(0, sizeof(float) * length * (size_t)p->window_height);
    if (!lines) return out_of_memory();
    uint16_t *out = w->out + (size_t)task * p->out_width * p->channels;
    size_t step = (size_t)p->stride_columns * LANES, tap = (size_t)p->tap_columns * LANES;
    for (int first = 0; first < p->channels; first += LANES) {
        __mmask16 lanes = lanes_at(p->channels, first);
        for (int row = 0; row < p->window_height; row++) {
            int from = line_read(p, line, row);
            if (from >= 0)
                widen_line(p, w->x + ((size_t)image * p->height + from) * p->width * p->channels +
                                  first, lanes, lines + row * length);
        }
        for (int x = 0; x < p->out_width; x += SIDE) {
            __m512 sum[SIDE];
            for (int i = 0; i < SIDE; i++) sum[i] = _mm512_setzero_ps();
            for (int row = 0; row < p->window_height; row++) {
                if (line_read(p, line, row) < 0) continue;
                const float *of = lines + row * length + (size_t)x * step;
                const float *kernel = w->kernel + (size_t)row * p->window_width * w->width + first;
                for (int column = 0; column < p->window_width; column++) {
                    __m512 weight = _mm512_loadu_ps(kernel);
                    for (int i = 0; i < SIDE; i++)
                        sum[i] = _mm512_fmadd_ps(_mm512_load_ps(of + i * step), weight, sum[i]);
                    of += tap, kernel += w->width;
                }
            }
            for (int i = 0; i < SIDE && x + i < p->out_width; i++)
                put(out + (size_t)(x + i) * p->channels + first, lanes, sum[i]);
        }
    }
}

/* Adds what a line of slopes gives to some neighbouring places of a window. */
static inline __attribute__((always_inline)) void add_line(const depthwise_work *w,
                                                           const int count, const float *read,
                                                           const float *slopes, float *to) {
    const plan *p = &w->p;
    size_t step = (size_t)p->stride_columns * LANES, tap = (size_t)p->tap_columns * LANES;
    __m512 sum[SIDE];
    for (int k = 0; k < count; k++) sum[k] = _mm512_loadu_ps(to + (size_t)k * w->width);
    __m512 line[SIDE];
    for (int k = 0; k < count; k++) line[k] = _mm512_setzero_ps();
    for (int x = 0; x < p->out_width; x++, read += step, slopes += LANES) {
        __m512 slope = _mm512_load_ps(slopes);
        for (int k = 0; k < count; k++)
            line[k] = _mm512_fmadd_ps(_mm512_load_ps(read + k * tap), slope, line[k]);
    }
    for (int k = 0; k < count; k++)
        _mm512_storeu_ps(to + (size_t)k * w->width, _mm512_add_ps(sum[k], line[k]));
}

/* The sums of a kernel's gradient over a range of lines of results. */
static void kernel_range(void *context, int range) {
    const depthwise_work *w = context;
    const plan *p = &w->p;
    int64_t all = (int64_t)p->images * p->out_height;
    size_t size = (size_t)p->window_height * p->window_width * w->width;
    float *sums = w->sums + (size_t)range * size;
    size_t length = (size_t)seen(p) * LANES;
    float *read = thread_memory(0, sizeof(float) * length);
    float *slopes = thread_memory(1, sizeof(float) * LANES * (size_t)p->out_width);
    if (!read || !slopes) return out_of_memory();
    memset(sums, 0, sizeof(float) * size);
    size_t tap = (size_t)p->tap_columns * LANES;
    for (int64_t i = all * range / RANGES; i < all * (range + 1) / RANGES; i++)
        for (int first = 0; first < p->channels; first += LANES) {
            int image = (int)(i / p->out_height), line = (int)(i % p->out_height);
            __mmask16 lanes = lanes_at(p->channels, first);
            const uint16_t *of = w->slopes + (size_t)i * p->out_width * p->channels + first;
            for (int x = 0; x < p->out_width; x++)
                _mm512_store_ps(slopes + (size_t)x * LANES, loaded(of + (size_t)x * p->channels, lanes));
            for (int row = 0; row < p->window_height; row++) {
                int from = line_read(p, line, row);
                if (from < 0) continue;
                widen_line(p, w->x + ((size_t)image * p->height + from) * p->width * p->channels +
                                  first, lanes, read);
                float *to = sums + (size_t)row * p->window_width * w->width + first;
                for (int column = 0; column < p->window_width; column += SIDE) {
                    const float *of_column = read + (size_t)column * tap;
                    float *sum = to + (size_t)column * w->width;
                    int left = p->window_width - column;
                    if (left >= SIDE) add_line(w, SIDE, of_column, slopes, sum);
                    else if (left == 3) add_line(w, 3, of_column, slopes, sum);
                    else if (left == 2) add_line(w, 2, of_column, slopes, sum);
                    else add_line(w, 1, of_column, slopes, sum);
                }
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
static float *widened(const plan *p, const uint16_t *kernel, int is_turned) {
    int width = whole(p->channels), places = p->window_height * p->window_width;
    float *wide = malloc(sizeof(float) * (size_t)places * (size_t)width);
    if (!wide) return NULL;
    for (int place = 0; place < places; place++) {
        int from = is_turned ? places - 1 - place : place;
        for (int first = 0; first < p->channels; first += LANES)
            _mm512_storeu_ps(wide + (size_t)place * width + first,
                             loaded(kernel + (size_t)from * p->channels + first,
                                lanes_at(p->channels, first)));
    }
    return wide;
}

/* About what sixteen products take, times how many there are. */
static double nanoseconds(const plan *p, int width) {
    double places = (double)p->images * p->out_height * p->out_width;
    return places * p->window_height * p->window_width * width / LANES;
}

static int by_line(plan p, const uint16_t *x, const uint16_t *kernel, int is_turned,
                   uint16_t *out) {
    float *wide = widened(&p, kernel, is_turned);
    if (!wide) return 0;
    depthwise_work w = {p, x, NULL, out, wide, whole(p.channels), NULL};
    int done = run_in_parallel(p.images * p.out_height, nanoseconds(&p, w.width), result_line, &w);
    free(wide);
    return done;
}

int depthwise(const convolution *c, const uint16_t *x, const uint16_t *kernel, uint16_t *y) {
    return by_line(plan_of(c), x, kernel, 0, y);
}

int depthwise_back(const convolution *c, const uint16_t *slopes, const uint16_t *kernel,
                   uint16_t *x) {
    return by_line(turned(c), slopes, kernel, 1, x);
}

int depthwise_kernel_gradient(const convolution *c, const uint16_t *x, const uint16_t *slopes,
                              uint16_t *kernel) {
    int width = whole(c->channels), places = c->window_height * c->window_width;
    size_t size = (size_t)places * (size_t)width;
    depthwise_work w = {plan_of(c), x, slopes, kernel, NULL, width,
                        malloc(sizeof(float) * size * RANGES)};
    if (!w.sums) return 0;
    int done = run_in_parallel(RANGES, nanoseconds(&w.p, width), kernel_range, &w);
    for (int place = 0; done && place < places; place++)
        for (int first = 0; first < c->channels; first += LANES) {
            const float *from = w.sums + (size_t)place * width + first;
            __m512 sum = _mm512_loadu_ps(from);
            for (int range = 1; range < RANGES; range++)
                sum = _mm512_add_ps(sum, _mm512_loadu_ps(from + range * size));
            put(kernel + (size_t)place * c->channels + first, lanes_at(c->channels, first), sum);
        }
    free(w.sums);
    return done;
}
