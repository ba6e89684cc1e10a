/* Convolutions and products of float16 on CPUs with vectors of float32 alone.
 *
 * What a unit of work reads is converted to float32 once, into memory that stays in the
 * second-level cache; products are exact there, sums are float32's, and what is written
 * is rounded to float16 once. Lanes of a vector are channels: of the results for values
 * and gradients of inputs, of the inputs for gradients of kernels.
 *
 * In that memory all pixels of a vector's channels lie side by side, a line's apart by the
 * stride, so that neighbours in a line of results read neighbours: whatever the stride,
 * the inner loop has constant distances. A gradient's stride leaves holes between what
 * it reads; results are gone through in as many classes, each of which sees some taps of
 * the window and no holes. Taps outside of an image's lines are left out, those beside
 * its columns find zeros.
 */
#include "convolutions.h"

#include <string.h>

#include "threads.h"

enum {
    SCRATCH_BYTES = 384 * 1024, /* of a unit of work */
    /* Of one beside which a kernel of so many bytes is gone through: it comes from beyond
     * the second-level cache, once for each unit. */
    LARGE_SCRATCH_BYTES = 4 << 20,
    LARGE_KERNEL_BYTES = 1 << 20,
    PART_BYTES = 256 * 1024,    /* of a kernel, or of pixels, that are gone through at once */
    ENOUGH_TASKS = 8,           /* before work is no longer cut for it */
    SMALLEST_UNIT = 32,         /* pixels, likewise */
    SQUARE = LANES * LANES,
    /* Of the gradient of a kernel, computed side by side: vectors and lanes. */
    ROWS = 3, SLOPES = REGISTERS / 4,
    PARTIAL_BYTES = 4 << 20,/* of all partial sums of a kernel's gradient */
    PARTIALS = 16,
    /* Picoseconds of a vector of products, and of one that is laid out. */
    OF_PRODUCT = 150,
    OF_VECTOR = 500,
};

/* ---- geometry ------------------------------------------------------------------- */

/* Along one axis: result number r + holes * j reads, by tap t, number
 * (r + t * tap - before) / holes + stride * j, where that is whole. Stride or holes is 1. */
typedef struct {
    int given, out;
    int window, tap, stride, holes, before;
    int nearest, farthest; /* of what is read, relative to stride * j */
    int count, size;       /* of j: all, and of a unit of work */
} axis;

static void measure(axis *a) {
    a->nearest = -floor_of(a->before, a->holes);
    a->farthest = floor_of(a->holes - 1 + (a->window - 1) * a->tap - a->before, a->holes);
    a->farthest = at_least(a->farthest, a->nearest);
    a->count = a->size = parts_of(a->out, a->holes);
}

/* What a tap of a class of results reads, relative to the nearest; -1 for nothing. */
static int read_by(const axis *a, int class, int tap) {
    int where = class + tap * a->tap - a->before;
    return where - floor_of(where, a->holes) * a->holes
               ? -1
               : floor_of(where, a->holes) - a->nearest;
}

/* Numbers that a unit reads. */
static int length_of(const axis *a) {
    return (a->size - 1) * a->stride + a->farthest - a->nearest + 1;
}

/* One direction of a convolution. */
typedef struct {
    int images, channels, out_channels;
    axis y, x;
    int of_unit;                /* images */
    int lines, columns, phases; /* in memory: a phase of a line has so many columns */
} plan;

static int64_t units_of(const plan *p) {
    return (int64_t)parts_of(p->images, p->of_unit) * parts_of(p->y.count, p->y.size) *
           parts_of(p->x.count, p->x.size);
}

static size_t pixels_read(const plan *p) { return (size_t)p->lines * p->phases * p->columns; }

static size_t bytes_read(const plan *p, int images) {
    return sizeof(float) * LANES * (size_t)images * blocks(p->channels) * pixels_read(p);
}

static void lay_down(plan *p) {
    p->lines = length_of(&p->y);
    p->phases = p->x.stride;
    p->columns = parts_of(length_of(&p->x), p->phases);
}

/* Cuts the work; nothing depends on the number of cores. */
static void divide(plan *p, size_t bytes_read, size_t bytes_written, size_t most, int tasks) {
    measure(&p->y), measure(&p->x);
    p->of_unit = 1;
    size_t size;
    for (;;) {
        lay_down(p);
        int pixels = p->y.size * p->x.size;
        size = bytes_read * pixels_read(p) +
               bytes_written * (size_t)pixels * (size_t)(p->y.holes * p->x.holes);
        int too_few = units_of(p) * tasks < ENOUGH_TASKS && pixels > SMALLEST_UNIT;
        if ((size <= most && !too_few) || pixels == 1) break;
        /* Lines first: columns lie side by side. */
        axis *cut = p->y.size > 1 ? &p->y : &p->x;
        cut->size = parts_of(cut->size, 2);
    }
    int whole = p->y.size == p->y.count && p->x.size == p->x.count;
    if (whole && size)
        p->of_unit = at_least(1, at_most((int)(most / size),
                                         p->images * tasks / ENOUGH_TASKS));
}

/* Where a unit begins, by its j. */
typedef struct {
    int image, images, line, lines, column, columns;
} unit;

static unit unit_at(const plan *p, int64_t number) {
    int across = parts_of(p->x.count, p->x.size), down = parts_of(p->y.count, p->y.size);
    unit u = {
        .image = (int)(number / ((int64_t)across * down)) * p->of_unit,
        .line = (int)(number / across % down) * p->y.size,
        .column = (int)(number % across) * p->x.size,
    };
    u.images = at_most(p->of_unit, p->images - u.image);
    u.lines = at_most(p->y.size, p->y.count - u.line);
    u.columns = at_most(p->x.size, p->x.count - u.column);
    return u;
}

/* Every so manyth pixel of a line from a column on, which may lie before it, with zeros
 * around the line. */
static void lay_phase(const plan *p, const half *line, int column, filled lanes, float *to) {
    int step = p->phases, count = p->columns;
    int from = at_most(count, parts_of(at_least(-column, 0), step));
    int until = at_least(from, at_most(count, parts_of(at_least(p->x.given - column, 0), step)));
    memset(to, 0, sizeof(float) * LANES * from);
    memset(to + until * LANES, 0, sizeof(float) * LANES * (count - until));
    const half *x = line + (ptrdiff_t)(column + from * step) * p->channels;
    for (int i = from; i < until; i++, x += (ptrdiff_t)step * p->channels)
        n_store(to + i * LANES, loaded(x, lanes));
}

/* What a unit reads of some blocks of channels: [image, block, line, phase, column, lane]. */
static void lay_out(const plan *p, unit u, const half *x, int first_block, int count, float *to) {
    int top = p->y.nearest + u.line * p->y.stride, left = p->x.nearest + u.column * p->x.stride;
    for (int image = 0; image < u.images; image++)
        for (int b = 0; b < count; b++) {
            int first = (first_block + b) * LANES;
            filled lanes = lanes_at(p->channels, first);
            for (int line = 0; line < p->lines; line++, to += p->phases * p->columns * LANES) {
                int y = top + line;
                if (y < 0 || y >= p->y.given) continue; /* never read */
                size_t row = ((size_t)(u.image + image) * p->y.given + y) * p->x.given;
                for (int phase = 0; phase < p->phases; phase++)
                    lay_phase(p, x + row * p->channels + first, left + phase, lanes,
                              to + (size_t)phase * p->columns * LANES);
            }
        }
}

/* ---- values and gradients of inputs ----------------------------------------------- */

/* A kernel in float32: [block of results, block of inputs, tap, input, result]. */
typedef struct {
    const half *kernel;
    int taps, inputs, outputs;  /* channels */
    size_t of_input, of_output; /* from one channel to the next, in numbers */
    int turned;                 /* the last tap first */
    float *packed;
} packing;

/* Some blocks of inputs of a block of results. */
static void pack_some(const packing *k, int block, int first, int count, float *to) {
    int outputs = at_most(LANES, k->outputs - block * LANES);
    for (int b = first; b < first + count; b++)
        for (int tap = 0; tap < k->taps; tap++, to += SQUARE) {
            size_t from = (size_t)(k->turned ? k->taps - 1 - tap : tap) * k->inputs * k->outputs;
            numbers rows[LANES];
            read_square(k->kernel + from + (size_t)b * LANES * k->of_input +
                            (size_t)block * LANES * k->of_output,
                        k->of_input, k->of_output, at_most(LANES, k->inputs - b * LANES),
                        outputs, rows);
            for (int i = 0; i < LANES; i++) n_store(to + i * LANES, rows[i]);
        }
}

static void pack_block(void *context, int block) {
    const packing *k = context;
    int all = blocks(k->inputs);
    pack_some(k, block, 0, all, k->packed + (size_t)block * all * k->taps * SQUARE);
}

/* A tap of a line of results: where it reads and what it multiplies with, in floats. */
typedef struct {
    size_t read, kernel;
} tap;

/* Some pixels of a line by some vectors of results. */
typedef struct {
    const tap *taps;
    int count;
    int blocks, channels;       /* of what is read; of its last block */
    size_t of_block, of_kernel; /* floats from one block to the next */
    size_t of_vector;           /* of a kernel, from one vector of results to the next */
    int adds, is_last;          /* to the sums so far; whether they are rounded now */
    float *sums;
    half *y;
    size_t of_pixel; /* results from one pixel to the next */
    int out_channels;
} pixels;

#define UNROLLED _Pragma("GCC unroll 16")

/* Pixels that are computed side by side, as many as there are registers for: of one vector
 * of results, of two of them, and of four. */
#define UP_TO_2(F, V) F(V, 1) F(V, 2)
#define UP_TO_6(F, V) UP_TO_2(F, V) F(V, 3) F(V, 4) F(V, 5) F(V, 6)
#define UP_TO_12(F, V) UP_TO_6(F, V) F(V, 7) F(V, 8) F(V, 9) F(V, 10) F(V, 11) F(V, 12)
#define UP_TO_16(F, V) UP_TO_12(F, V) F(V, 13) F(V, 14) F(V, 15) F(V, 16)
#if REGISTERS == 32
enum { MOST_OF_ONE = 16, MOST_OF_TWO = 12, MOST_OF_FOUR = 6 };
#define EACH_OF_ONE(F) UP_TO_16(F, 1)
#define EACH_OF_TWO(F) UP_TO_12(F, 2)
#define EACH_OF_FOUR(F) UP_TO_6(F, 4)
#else
enum { MOST_OF_ONE = 12, MOST_OF_TWO = 6, MOST_OF_FOUR = 2 };
#define EACH_OF_ONE(F) UP_TO_12(F, 1)
#define EACH_OF_TWO(F) UP_TO_6(F, 2)
#define EACH_OF_FOUR(F) UP_TO_2(F, 4)
#endif

static inline __attribute__((always_inline)) void add_products(const pixels *of, const float *x,
                                                               const float *kernel, int count,
                                                               int vectors) {
    numbers sums[MOST_OF_ONE][4];
    UNROLLED for (int i = 0; i < count; i++)
        UNROLLED for (int v = 0; v < vectors; v++)
            sums[i][v] = of->adds ? n_load(of->sums + (i * vectors + v) * LANES) : n_zero();
    for (int b = 0; b < of->blocks; b++) {
        int channels = b == of->blocks - 1 ? of->channels : LANES;
        for (int t = 0; t < of->count; t++) {
            const float *read = x + b * of->of_block + of->taps[t].read;
            const float *by = kernel + b * of->of_kernel + of->taps[t].kernel;
            for (int c = 0; c < channels; c++, by += LANES) {
                numbers factors[4];
                UNROLLED for (int v = 0; v < vectors; v++)
                    factors[v] = n_load(by + v * of->of_vector);
                UNROLLED for (int i = 0; i < count; i++) {
                    numbers number = n_all(read[i * LANES + c]);
                    UNROLLED for (int v = 0; v < vectors; v++)
                        sums[i][v] = n_fma(number, factors[v], sums[i][v]);
                }
            }
        }
    }
    UNROLLED for (int i = 0; i < count; i++)
        UNROLLED for (int v = 0; v < vectors; v++) {
            if (of->is_last)
                put(of->y + i * of->of_pixel + v * LANES, lanes_at(of->out_channels, v * LANES),
                    sums[i][v]);
            else
                n_store(of->sums + (i * vectors + v) * LANES, sums[i][v]);
        }
}

typedef void (*adder)(const pixels *, const float *, const float *);

#define ADDER(VECTORS, COUNT)                                                               \
    static void add_##VECTORS##_##COUNT(const pixels *of, const float *x, const float *by) { \
        add_products(of, x, by, COUNT, VECTORS);                                            \
    }
#define NAMED(V, COUNT) add_##V##_##COUNT,

EACH_OF_ONE(ADDER)
EACH_OF_TWO(ADDER)
EACH_OF_FOUR(ADDER)

static const adder OF_ONE[] = {NULL, EACH_OF_ONE(NAMED)};
static const adder OF_TWO[] = {NULL, EACH_OF_TWO(NAMED)};
static const adder OF_FOUR[] = {NULL, EACH_OF_FOUR(NAMED)};

/* How many vectors of results, and pixels, are computed side by side. */
typedef struct {
    int vectors, count;
    const adder *adders;
} side;

static side side_of(int vectors, int columns) {
    /* Where lines are short, more vectors keep both units for products busy. */
    side s = {1, MOST_OF_ONE, OF_ONE};
    if (vectors >= 4 && columns <= MOST_OF_FOUR)
        s = (side){4, MOST_OF_FOUR, OF_FOUR};
    else if (vectors >= 2)
        s = (side){2, MOST_OF_TWO, OF_TWO};
    s.count = parts_of(columns, parts_of(columns, s.count));
    return s;
}

typedef struct {
    const plan *p;
    const half *x;
    const packing *k; /* packed beforehand, or else part by part where it is used */
    half *y;
    int tasks;   /* parts of the results' channels of a unit */
    float *read; /* what the only unit reads; NULL where each task lays out its own */
} forward_work;

/* A block of channels of an image of the only unit. */
static void lay_block(void *context, int task) {
    const forward_work *w = context;
    unit u = unit_at(w->p, 0);
    u.image = task / blocks(w->p->channels), u.images = 1;
    lay_out(w->p, u, w->x, task % blocks(w->p->channels), 1,
            w->read + (size_t)task * pixels_read(w->p) * LANES);
}

/* Blocks of inputs that are gone through for all pixels of a unit, so that their part of
 * the kernel stays in the cache; where a pixel sees no other, what is read of them, too. */
static int blocks_at_once(const plan *p, int taps, int vectors, int images) {
    size_t of_kernel = sizeof(float) * SQUARE * taps * vectors;
    size_t of_pixels = sizeof(float) * LANES * pixels_read(p) * images;
    size_t size = taps == 1 && of_pixels > of_kernel ? of_pixels : of_kernel;
    return at_least(1, at_most(blocks(p->channels), (int)(PART_BYTES / size)));
}

/* The taps that a line of results sees, of one class of its columns. */
static int taps_of(const plan *p, int row_class, int column_class, int line, tap *taps) {
    int count = 0;
    size_t of_line = (size_t)p->phases * p->columns * LANES;
    for (int i = 0; i < p->y.window; i++) {
        int row = read_by(&p->y, row_class, i);
        int y = row + p->y.nearest + line * p->y.stride;
        if (row < 0 || y < 0 || y >= p->y.given) continue;
        for (int j = 0; j < p->x.window; j++) {
            int column = read_by(&p->x, column_class, j);
            if (column < 0) continue;
            size_t from = (size_t)(column % p->phases) * p->columns + column / p->phases;
            taps[count++] = (tap){row * of_line + from * LANES,
                                  (size_t)(i * p->x.window + j) * SQUARE};
        }
    }
    return count;
}

/* All results of a unit for some vectors of channels. */
static void add_vectors(const forward_work *w, unit u, const float *read, float *sums,
                        float *part, tap *taps, int vector, int vectors) {
    const plan *p = w->p;
    int input_blocks = blocks(p->channels), window = p->y.window * p->x.window;
    size_t of_line = (size_t)p->phases * p->columns * LANES, of_block = of_line * p->lines;
    size_t of_kernel = (size_t)window * SQUARE;
    side s = side_of(vectors, u.columns);
    int at_once = blocks_at_once(p, window, s.vectors, u.images);
    for (int b = 0; b < input_blocks; b += at_once) {
        int some = at_most(at_once, input_blocks - b);
        pixels of = {
            .blocks = some, .of_block = of_block, .of_kernel = of_kernel,
            .channels = at_most(LANES, p->channels - (b + some - 1) * LANES),
            .of_vector = of_kernel * input_blocks, .taps = taps,
            .adds = b > 0, .is_last = b + some == input_blocks,
            .of_pixel = (size_t)p->x.holes * p->out_channels,
            .out_channels = p->out_channels - vector * LANES, .sums = sums,
        };
        const float *kernel = part;
        if (w->k->packed) {
            kernel = w->k->packed + vector * of.of_vector + b * of_kernel;
        } else {
            of.of_vector = of_kernel * some;
            for (int v = 0; v < s.vectors; v++)
                pack_some(w->k, vector + v, b, some, part + v * of.of_vector);
        }
        for (int row = 0; row < p->y.holes; row++)
            for (int column = 0; column < p->x.holes; column++)
                for (int line = 0; line < u.lines; line++) {
                    int y = row + p->y.holes * (u.line + line);
                    if (y >= p->y.out) continue;
                    of.count = taps_of(p, row, column, u.line + line, taps);
                    int here = parts_of(p->x.out - column - p->x.holes * u.column, p->x.holes);
                    here = at_most(u.columns, here);
                    for (int image = 0; image < u.images; image++) {
                        const float *at = read + (size_t)image * input_blocks * of_block +
                                          b * of_block + line * p->y.stride * of_line;
                        size_t to = (size_t)(u.image + image) * p->y.out + y;
                        to = to * p->x.out + column + (size_t)p->x.holes * u.column;
                        for (int j = 0; j < here; j += s.count) {
                            int count = at_most(s.count, here - j);
                            of.y = w->y + (to + (size_t)p->x.holes * j) * p->out_channels +
                                   vector * LANES;
                            s.adders[count](&of, at + (size_t)j * LANES, kernel);
                            of.sums += (size_t)count * s.vectors * LANES;
                        }
                    }
                }
    }
}

static void forward_task(void *context, int task) {
    const forward_work *w = context;
    const plan *p = w->p;
    unit u = unit_at(p, task / w->tasks);
    int number = task % w->tasks, all = blocks(p->out_channels);
    size_t results = (size_t)u.images * u.lines * u.columns * p->y.holes * p->x.holes;
    float *read = w->read ? w->read : thread_memory(0, bytes_read(p, u.images));
    float *sums = thread_memory(1, sizeof(float) * LANES * 4 * results);
    int window = p->y.window * p->x.window;
    tap *taps = thread_memory(2, sizeof(tap) * window);
    size_t at_once = w->k->packed ? 0 : blocks_at_once(p, window, 1, u.images);
    float *part = thread_memory(3, sizeof(float) * SQUARE * window * (4 * at_once + 1));
    if (!read || !sums || !part || !taps) return out_of_memory();
    if (!w->read) lay_out(p, u, w->x, 0, blocks(p->channels), read);
    int until = all * (number + 1) / w->tasks;
    for (int vector = all * number / w->tasks; vector < until;) {
        int side = side_of(until - vector, u.columns).vectors;
        add_vectors(w, u, read, sums, part, taps, vector, side);
        vector += side;
    }
}

static int run_forward(plan p, const half *x, packing k, half *y) {
    int input_blocks = blocks(p.channels), output_blocks = blocks(p.out_channels);
    size_t vectors = (size_t)output_blocks * input_blocks * k.taps * LANES;
    size_t bytes = sizeof(float) * LANES * vectors;
    int most = parts_of(output_blocks, 4), is_large = k.taps == 1 && bytes > LARGE_KERNEL_BYTES;
    divide(&p, sizeof(float) * LANES * (size_t)input_blocks, 0,
           is_large ? LARGE_SCRATCH_BYTES : SCRATCH_BYTES, most);
    int64_t units = units_of(&p);
    forward_work w = {&p, x, &k, y,
                      at_most(most, (int)parts_of(ENOUGH_TASKS, at_least(1, (int)units))), NULL};
    float **made = units > 1 || !is_large ? &k.packed : &w.read;
    *made = call_memory(made == &w.read ? bytes_read(&p, p.images) : bytes);
    if (!*made) return 0;
    double products = (double)output_blocks * p.channels * k.taps * p.images * p.y.out *
                      p.x.out / (p.y.holes * p.x.holes);
    int done = k.packed ? run_in_parallel(output_blocks, 1e-3 * OF_VECTOR * vectors, pack_block, &k)
                        : run_in_parallel(p.images * input_blocks,
                                          1e-3 * OF_VECTOR * bytes_read(&p, p.images) /
                                              (sizeof(float) * LANES),
                                          lay_block, &w);
    done = done && run_in_parallel((int)units * w.tasks, 1e-3 * OF_PRODUCT * products,
                                   forward_task, &w);
    give_back(*made);
    return done;
}

/* The convolution itself. */
static plan plan_of(const convolution *c) {
    plan p = {
        .images = c->images,
        .channels = c->channels,
        .out_channels = c->out_channels,
        .y = {.given = c->height, .out = c->out_height, .window = c->window_height,
              .tap = c->tap_rows, .stride = c->stride_rows, .holes = 1, .before = c->top},
        .x = {.given = c->width, .out = c->out_width, .window = c->window_width,
              .tap = c->tap_columns, .stride = c->stride_columns, .holes = 1,
              .before = c->left},
    };
    /* Pixel by pixel there is one long line. */
    int64_t all = (int64_t)c->images * c->height * c->width;
    if (c->window_height * c->window_width * c->stride_rows * c->stride_columns == 1 &&
        !c->top && !c->left && c->out_height == c->height && c->out_width == c->width &&
        all <= INT32_MAX / 2) {
        p.images = p.y.given = p.y.out = 1;
        p.x.given = p.x.out = (int)all;
    }
    return p;
}

/* An axis of its transpose: what was written is read, its kernel turned around. */
static axis turned(axis a) {
    return (axis){.given = a.out, .out = a.given, .window = a.window, .tap = a.tap,
                  .stride = 1, .holes = a.stride,
                  .before = (a.window - 1) * a.tap - a.before};
}

int vector_convolve(const convolution *c, const half *x, const half *kernel, half *y) {
    packing k = {kernel, c->window_height * c->window_width, c->channels, c->out_channels,
                 (size_t)c->out_channels, 1, 0, NULL};
    return run_forward(plan_of(c), x, k, y);
}

int vector_convolve_back(const convolution *c, const half *slopes, const half *kernel, half *x) {
    plan p = plan_of(c);
    p.y = turned(p.y), p.x = turned(p.x);
    p.channels = c->out_channels, p.out_channels = c->channels;
    packing k = {kernel, c->window_height * c->window_width, c->out_channels, c->channels,
                 1, (size_t)c->out_channels, 1, NULL};
    return run_forward(p, slopes, k, x);
}

/* ---- gradients of kernels ---------------------------------------------------------- */

typedef struct {
    const plan *p;
    const half *inputs, *slopes;
    int partials, parts_of_channels; /* tasks: partial sums by ranges of channels */
    float *sums; /* [partials, input block, output block, taps, results, inputs] */
    half *kernel;
} kernel_work;

/* The slopes of a unit, [block of channels, image, line, column, lane]. */
static void lay_slopes(const kernel_work *w, unit u, float *to) {
    const plan *p = w->p;
    for (int o = 0; o < blocks(p->out_channels); o++) {
        filled lanes = lanes_at(p->out_channels, o * LANES);
        for (int image = 0; image < u.images; image++)
            for (int line = 0; line < u.lines; line++) {
                size_t at = (size_t)(u.image + image) * p->y.out + u.line + line;
                const half *from = w->slopes +
                                   (at * p->x.out + u.column) * p->out_channels + o * LANES;
                for (int j = 0; j < u.columns; j++, from += p->out_channels, to += LANES)
                    n_store(to, loaded(from, lanes));
            }
    }
}

_Static_assert(LANES % SLOPES == 0, "a block of results is gone through in whole parts");

/* Some rows of a gradient, those of a tap and a block of inputs each, by half a block of
 * results. */
typedef struct {
    size_t read[ROWS]; /* floats from where a line of results reads its first pixel */
    float *sums[ROWS];
} rows;

/* Of a unit: lines that the taps of these rows find in the images. */
typedef struct {
    int images, from, until, columns;
    size_t of_image, of_line;   /* of what is read, in floats */
    size_t slopes_of_image;
} lines;

static inline __attribute__((always_inline)) void add_slopes(const lines *l, const float *x,
                                                             const float *slopes,
                                                             const rows *of, int count) {
    numbers sums[ROWS][SLOPES];
    UNROLLED for (int r = 0; r < count; r++)
        UNROLLED for (int i = 0; i < SLOPES; i++) sums[r][i] = n_zero();
    for (int image = 0; image < l->images; image++)
        for (int line = l->from; line < l->until; line++) {
            const float *at = x + image * l->of_image + line * l->of_line;
            const float *by = slopes + image * l->slopes_of_image +
                              (size_t)line * l->columns * LANES;
            for (int j = 0; j < l->columns; j++, at += LANES, by += LANES) {
                numbers inputs[ROWS];
                UNROLLED for (int r = 0; r < count; r++) inputs[r] = n_load(at + of->read[r]);
                UNROLLED for (int i = 0; i < SLOPES; i++) {
                    numbers slope = n_all(by[i]);
                    UNROLLED for (int r = 0; r < count; r++)
                        sums[r][i] = n_fma(slope, inputs[r], sums[r][i]);
                }
            }
        }
    UNROLLED for (int r = 0; r < count; r++)
        UNROLLED for (int i = 0; i < SLOPES; i++) {
            float *to = of->sums[r] + i * LANES;
            n_store(to, n_add(n_load(to), sums[r][i]));
        }
}

static void add_rows(const lines *l, const float *x, const float *slopes, const rows *of,
                     int count) {
    if (count == 3) add_slopes(l, x, slopes, of, 3);
    if (count == 2) add_slopes(l, x, slopes, of, 2);
    if (count == 1) add_slopes(l, x, slopes, of, 1);
}

/* A square of the gradient, the sum of some that lie so far apart, rounded to float16. */
static void round_square(const kernel_work *w, int b, int o, int k, const float *sums,
                         int partials, size_t apart) {
    const plan *p = w->p;
    numbers square[LANES];
    for (int i = 0; i < LANES; i++) {
        square[i] = n_load(sums + i * LANES);
        for (int partial = 1; partial < partials; partial++)
            square[i] = n_add(square[i], n_load(sums + i * LANES + partial * apart));
    }
    transpose(square);
    for (int i = 0; i < LANES && b * LANES + i < p->channels; i++) {
        size_t to = ((size_t)k * p->channels + b * LANES + i) * p->out_channels;
        put(w->kernel + to + o * LANES, lanes_at(p->out_channels, o * LANES), square[i]);
    }
}

/* What a task adds up: some blocks of inputs, over some units. */
typedef struct {
    int first, count;
    float *sums;  /* [block, output block, taps, SQUARE]; NULL where there is one unit, whose
                   * sums are rounded while they are in the cache */
} kernel_part;

/* A row of the window, by a block of results. */
static void add_window_row(const kernel_work *w, const kernel_part *part, const lines *l, int i,
                           int o, const float *read, const float *slopes) {
    const plan *p = w->p;
    int output_blocks = blocks(p->out_channels), window = p->x.window;
    size_t of_line = (size_t)p->phases * p->columns * LANES, of_block = of_line * p->lines;
    for (int first = 0; first < part->count * window; first += ROWS) {
        int side = at_most(ROWS, part->count * window - first);
        float alone[ROWS * SQUARE];
        rows of;
        for (int r = 0; r < side; r++) {
            int b = (first + r) / window, j = (first + r) % window;
            int column = read_by(&p->x, 0, j);
            of.read[r] = b * of_block + read_by(&p->y, 0, i) * of_line +
                         ((size_t)(column % p->phases) * p->columns + column / p->phases) * LANES;
            size_t at = (((size_t)b * output_blocks + o) * p->y.window + i) * window + j;
            of.sums[r] = part->sums ? part->sums + at * SQUARE : alone + r * SQUARE;
        }
        if (!part->sums) memset(alone, 0, sizeof alone);
        for (int s = 0; s < LANES && o * LANES + s < p->out_channels; s += SLOPES) {
            add_rows(l, read, slopes + s, &of, side);
            for (int r = 0; r < side; r++) of.sums[r] += SLOPES * LANES;
        }
        for (int r = 0; r < side && !part->sums; r++)
            round_square(w, part->first + (first + r) / window, o,
                         i * window + (first + r) % window, alone + r * SQUARE, 1, 0);
    }
}

static void add_unit(const kernel_work *w, unit u, const kernel_part *part, const float *read,
                     const float *slopes) {
    const plan *p = w->p;
    size_t of_line = (size_t)p->phases * p->columns * LANES;
    lines l = {
        .images = u.images, .columns = u.columns, .of_image = of_line * p->lines * part->count,
        .of_line = of_line * p->y.stride,
        .slopes_of_image = (size_t)u.lines * u.columns * LANES,
    };
    for (int o = 0; o < blocks(p->out_channels); o++)
        for (int i = 0; i < p->y.window; i++) {
            int y = read_by(&p->y, 0, i) + p->y.nearest + u.line * p->y.stride;
            l.from = y < 0 ? at_most(u.lines, parts_of(-y, p->y.stride)) : 0;
            l.until = at_most(u.lines, parts_of(at_least(p->y.given - y, 0), p->y.stride));
            add_window_row(w, part, &l, i, o, read, slopes + o * u.images * l.slopes_of_image);
        }
}

static void kernel_task(void *context, int task) {
    const kernel_work *w = context;
    const plan *p = w->p;
    int partial = task / w->parts_of_channels, number = task % w->parts_of_channels;
    int input_blocks = blocks(p->channels), output_blocks = blocks(p->out_channels);
    kernel_part part = {.first = input_blocks * number / w->parts_of_channels};
    part.count = input_blocks * (number + 1) / w->parts_of_channels - part.first;
    size_t pixels = (size_t)p->of_unit * p->y.size * p->x.size;
    float *read = thread_memory(
        0, sizeof(float) * LANES * p->of_unit * part.count * pixels_read(p));
    float *slopes = thread_memory(1, sizeof(float) * LANES * output_blocks * pixels);
    if (!read || !slopes) return out_of_memory();
    if (w->sums) {
        size_t of_block = (size_t)output_blocks * p->y.window * p->x.window * SQUARE;
        part.sums = w->sums + ((size_t)partial * input_blocks + part.first) * of_block;
        memset(part.sums, 0, sizeof(float) * of_block * part.count);
    }
    int64_t units = units_of(p), until = units * (partial + 1) / w->partials;
    for (int64_t at = units * partial / w->partials; at < until; at++) {
        unit u = unit_at(p, at);
        lay_out(p, u, w->inputs, part.first, part.count, read);
        lay_slopes(w, u, slopes);
        add_unit(w, u, &part, read, slopes);
    }
}

/* The partial sums of a block of input channels. */
static void round_block(void *context, int b) {
    const kernel_work *w = context;
    const plan *p = w->p;
    int taps = p->y.window * p->x.window, output_blocks = blocks(p->out_channels);
    size_t all = (size_t)blocks(p->channels) * output_blocks * taps * SQUARE;
    for (int o = 0; o < output_blocks; o++)
        for (int k = 0; k < taps; k++)
            round_square(w, b, o, k,
                         w->sums + (((size_t)b * output_blocks + o) * taps + k) * SQUARE,
                         w->partials, all);
}

int vector_kernel_gradient(const convolution *c, const half *x, const half *slopes,
                           half *kernel) {
    plan p = plan_of(c);
    int input_blocks = blocks(c->channels), output_blocks = blocks(c->out_channels);
    size_t all = (size_t)input_blocks * output_blocks * c->window_height * c->window_width;
    all *= SQUARE;
    int most = at_most(input_blocks, ENOUGH_TASKS);
    divide(&p, sizeof(float) * LANES * (size_t)input_blocks,
           sizeof(float) * LANES * (size_t)output_blocks,
           sizeof(float) * all > LARGE_KERNEL_BYTES ? LARGE_SCRATCH_BYTES : SCRATCH_BYTES, most);
    int64_t units = units_of(&p);
    int partials = at_most(PARTIALS, (int)(PARTIAL_BYTES / (sizeof(float) * all + 1)));
    partials = (int)at_least(at_most(partials, (int)units), 1);
    kernel_work w = {.p = &p, .inputs = x, .slopes = slopes, .partials = partials,
                     .parts_of_channels = at_least(
                         1, at_most(input_blocks, parts_of(ENOUGH_TASKS, partials))),
                     .kernel = kernel};
    if (units > 1) w.sums = call_memory(sizeof(float) * all * partials);
    if (units > 1 && !w.sums) return 0;
    double products = (double)all / LANES * p.images * p.y.out * p.x.out;
    int done = run_in_parallel(partials * w.parts_of_channels, 1e-3 * OF_PRODUCT * products,
                               kernel_task, &w);
    if (done && w.sums)
        done = run_in_parallel(input_blocks, 1e-3 * OF_VECTOR * all / LANES * partials,
                               round_block, &w);
    give_back(w.sums);
    return done;
}
