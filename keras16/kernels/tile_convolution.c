/* Convolutions and products of float16 on CPUs whose matrix unit takes bfloat16 alone.
 *
 * AMX-BF16 multiplies bfloat16 and adds in float32. A float16 has 11 significant bits,
 * a bfloat16 8 and more range: each float16 is the sum of two bfloat16, its high and
 * its low part, to the bit. So four products of parts are one product of float16, exact
 * before it is added, and what is added is rounded to float16 once, at the end. That is
 * what a float16 kernel of any vendor does; oneDNN's, on a CPU with AVX512-FP16 and
 * without AMX-FP16, converts to float32 in its registers and has none for the gradient
 * of the kernel (`ref:any`). In gradients the product of both low parts, 2**-18 of the
 * whole at most, is left out where it would cost time.
 *
 * Images are cut into blocks of one size, small enough for the second-level cache. The
 * rows of a tile are the same pixel of sixteen blocks, of as many images where there are
 * as many: so no tile is part empty, whatever the size of the images, strides take no
 * more work than they have outputs, and a tap that lies outside of all images, or in the
 * holes that a stride leaves in a gradient, is left out.
 *
 * Infinity has no parts: it becomes NaN.
 */
#include "convolutions.h"

#include <stdlib.h>
#include <string.h>

#include "threads.h"

enum {
    /* A tile has as many rows as a register has lanes, and a block as many channels. */
    PARTS = 2 * LANES, /* bfloat16 of a row of a tile: 16 high parts, 16 low ones */
    TILE_BYTES = 1024,
    TILE = TILE_BYTES / 2,       /* bfloat16 of a tile */
    GROUP = 4,                   /* sums that are computed side by side */
    TAPS = 3,                    /* likewise, of the gradient of a kernel */
    SCRATCH_BYTES = 768 * 1024,  /* of a unit of work: it stays in the cache */
    ENOUGH_BLOCKS = 64,          /* of images, before they are no longer cut for it */
    SMALLEST_BLOCK = 16,         /* pixels, likewise */
    PARTIAL_BYTES = 4 << 20,     /* of all partial sums of a kernel's gradient */
    PARTIALS = 16,
    /* Nanoseconds of a product of tiles, and of laying out or rounding one. */
    OF_PRODUCT = 10,
    OF_TILE = 60,
};

/* Eight tiles of 16 rows of 64 bytes. */
static const struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} __attribute__((packed)) TILES = {
    .palette = 1,
    .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
    .rows = {16, 16, 16, 16, 16, 16, 16, 16},
};

typedef uint16_t bfloat;


/* The lanes that a block of channels fills. */
static inline __mmask16 lanes_of(int channels, int block) {
    return lanes_at(channels, block * LANES);
}

static inline __m512 number_of(const half *at, __mmask16 lanes) {
    return at ? loaded(at, lanes) : _mm512_setzero_ps();
}

/* Float16 numbers rounded to 8 bits, and what is left: both are bfloat16. */
static inline __m512i high_part(__m512 x) {
    __m512i up = _mm512_add_epi32(_mm512_castps_si512(x), _mm512_set1_epi32(0x8000));
    return _mm512_and_si512(up, _mm512_set1_epi32(0xffff0000));
}

static inline __m512i low_part(__m512 x) {
    return _mm512_castps_si512(_mm512_sub_ps(x, _mm512_castsi512_ps(high_part(x))));
}

static inline __m256i narrow(__m512i x) {
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(x, 16));
}

static inline void put_parts(bfloat *high, bfloat *low, __m512 x) {
    _mm256_store_si256((__m256i *)high, narrow(high_part(x)));
    _mm256_store_si256((__m256i *)low, narrow(low_part(x)));
}

/* Two rows of bfloat16 in pairs, as the second factor of a tile product wants them. */
static inline __m512i paired(__m512i first, __m512i second) {
    return _mm512_or_si512(_mm512_srli_epi32(first, 16), second);
}

/* ---- geometry ----------------------------------------------------------------- */

/* Along one axis: how outputs depend on what is read. A convolution steps by its stride
 * over what it reads; its transpose steps by one, over numbers with holes between them. */
typedef struct {
    int given, out;      /* lengths */
    int window, tap;     /* taps, and from one to the next */
    int stride, holes;   /* one of them is 1 */
    int before;          /* zeros before what is read; may be negative */
    int size, count;     /* of a block of outputs; blocks */
    int first, length;   /* of a block: what is read, relative to where it lies */
    int *of;             /* [size, window]: what a tap reads, -1 for nothing */
} axis;

static int ceiling_of(int a, int b) { return -floor_of(-a, b); }

/* What is read for a block of `size` outputs. */
static void measure(axis *a, int size) {
    a->size = size, a->count = parts_of(a->out, size);
    int reach = (size - 1) * a->stride + (a->window - 1) * a->tap - a->before;
    int last = floor_of(reach, a->holes);
    a->first = ceiling_of(-a->before, a->holes);
    if (a->count == 1) {
        a->first = at_least(a->first, 0);
        last = at_most(last, a->given - 1);
    }
    a->length = at_least(last - a->first + 1, 1);
}

/* Half the size, which holes must divide. */
static int halved(const axis *a) {
    return at_least(parts_of(parts_of(a->size, 2), a->holes), 1) * a->holes;
}

static int fill(axis *a) {
    a->of = malloc(sizeof(int) * (size_t)a->size * (size_t)a->window);
    if (!a->of) return 0;
    for (int at = 0; at < a->size; at++)
        for (int tap = 0; tap < a->window; tap++) {
            int where = at * a->stride + tap * a->tap - a->before;
            int row = floor_of(where, a->holes) - a->first;
            int is_read = row * a->holes + a->first * a->holes == where && row >= 0 &&
                          row < a->length;
            a->of[at * a->window + tap] = is_read ? row : -1;
        }
    return 1;
}

/* One direction of a convolution. */
typedef struct {
    int images, channels, out_channels;
    axis y, x;
    int lanes;        /* blocks in a tile: 16 in rows, or 32 in columns */
    int tiles, units; /* tiles of blocks in a unit of work */
    int exact;        /* whether low parts are multiplied with low parts, too */
} plan;

static int blocks_of_images(const plan *p) { return p->images * p->y.count * p->x.count; }

/* Cuts images into blocks. Nothing depends on the number of cores. */
static int divide(plan *p, size_t bytes_read, size_t bytes_written) {
    measure(&p->y, p->y.out);
    measure(&p->x, p->x.out);
    size_t size;
    for (;;) {
        size = p->lanes * (bytes_read * p->y.length * p->x.length +
                           bytes_written * p->y.size * p->x.size);
        int too_large = size > SCRATCH_BYTES;
        int too_few = blocks_of_images(p) < ENOUGH_BLOCKS &&
                      p->y.size * p->x.size > SMALLEST_BLOCK;
        axis *longest = p->y.size >= p->x.size ? &p->y : &p->x;
        if ((!too_large && !too_few) || halved(longest) >= longest->size) break;
        measure(longest, halved(longest));
    }
    p->tiles = at_most(GROUP / (p->y.size * p->x.size), (int)(SCRATCH_BYTES / size));
    p->tiles = at_least(p->tiles, 1);
    p->units = parts_of(blocks_of_images(p), p->lanes * p->tiles);
    return fill(&p->y) && fill(&p->x);
}

/* Where a block of an image begins; its image is -1 behind the last block. */
typedef struct {
    int image, y, x;
} place;

static place block_at(const plan *p, int64_t number) {
    if (number >= blocks_of_images(p)) return (place){-1, 0, 0};
    int of_image = (int)number % (p->y.count * p->x.count);
    return (place){(int)number / (p->y.count * p->x.count),
                   of_image / p->x.count * p->y.size, of_image % p->x.count * p->x.size};
}

/* Pixels of a block in memory: those from here to there, relative to its first, which may
 * lie before the image. */
typedef struct {
    int64_t first; /* pixels from the start of all images */
    int from_line, to_line, from, to;
} view;

static view view_of(place at, int line, int column, int height, int width, int lines,
                    int columns) {
    if (at.image < 0) return (view){0, 0, 0, 0, 0};
    return (view){
        ((int64_t)at.image * height + line) * width + column,
        at_least(0, -line), at_most(lines, height - line),
        at_least(0, -column), at_most(columns, width - column),
    };
}

/* What a block reads, and what it writes. */
static view read_view(const plan *p, place at) {
    return view_of(at, at.y * p->y.stride / p->y.holes + p->y.first,
                   at.x * p->x.stride / p->x.holes + p->x.first, p->y.given, p->x.given,
                   p->y.length, p->x.length);
}

static view written_view(const plan *p, place at) {
    return view_of(at, at.y, at.x, p->y.out, p->x.out, p->y.size, p->x.size);
}

/* The same pixel of all blocks of a tile; NULL where it lies outside. */
typedef struct {
    const half *of[PARTS];
} column;

static inline void look(const view *views, int lanes, const half *numbers, int channels,
                        int width, int y, int x, column *c) {
    for (int lane = 0; lane < lanes; lane++) {
        view v = views[lane];
        int inside = y >= v.from_line && y < v.to_line && x >= v.from && x < v.to;
        c->of[lane] = inside ? numbers + (v.first + (int64_t)y * width + x) * channels : NULL;
    }
}

static int are_whole(const view *views, int lanes, int columns) {
    for (int lane = 0; lane < lanes; lane++)
        if (views[lane].to_line && (views[lane].from || views[lane].to < columns)) return 0;
    return 1;
}

/* The next pixel, line by line: beside the one before where all blocks have whole lines. */
static inline void advance(const view *views, int lanes, int whole, const half *numbers,
                           int channels, int width, int y, int x, column *c) {
    if (!x || !whole) {
        look(views, lanes, numbers, channels, width, y, x, c);
        return;
    }
    for (int lane = 0; lane < lanes; lane++)
        if (c->of[lane]) c->of[lane] += channels;
}

/* ---- values and gradients of inputs --------------------------------------------- */

/* How channels lie in a tile of first factors. Up to 16: their high parts, then their low
 * parts, so that one product takes both. More: 32 high parts in a tile, 32 low parts in
 * the next. */
typedef struct {
    int channels, blocks, tiles; /* of a block; blocks; tiles of a block */
} depth;

static depth depth_of(int channels) {
    if (channels <= LANES) return (depth){LANES, 1, 1};
    return (depth){PARTS, parts_of(channels, PARTS), 2};
}

/* A kernel as second factors: for each block of outputs, block of inputs and tap a tile
 * of high parts and one of low parts, a pair of inputs a row. */
typedef struct {
    const half *kernel;
    int taps, inputs, outputs; /* channels */
    size_t of_input, of_output; /* from one channel to the next, in numbers */
    int turned;                 /* the last tap first */
    bfloat *packed;
} kernel_tiles;

static void pack_block(void *context, int block) {
    const kernel_tiles *k = context;
    depth d = depth_of(k->inputs);
    int outputs = at_most(LANES, k->outputs - block * LANES);
    for (int b = 0; b < d.blocks; b++)
        for (int tap = 0; tap < k->taps; tap++) {
            bfloat *high = k->packed + (((size_t)block * d.blocks + b) * k->taps + tap) * 2 * TILE;
            int from = k->turned ? k->taps - 1 - tap : tap;
            const half *given = k->kernel + (size_t)from * k->inputs * k->outputs +
                                (size_t)block * LANES * k->of_output;
            for (int i = 0; i < d.tiles * LANES; i += LANES) {
                int first = b * d.channels + i;
                __m512 rows[LANES];
                read_square(given + first * k->of_input, k->of_input, k->of_output,
                            at_least(0, at_most(LANES, k->inputs - first)), outputs, rows);
                bfloat *to = high + i / 2 * PARTS;
                for (int row = 0; row < LANES; row += 2, to += PARTS) {
                    __m512 one = rows[row], next = rows[row + 1];
                    _mm512_store_si512(to, paired(high_part(one), high_part(next)));
                    _mm512_store_si512(to + TILE, paired(low_part(one), low_part(next)));
                }
            }
            /* Beside the low parts of up to 16 channels stands the same again. */
            if (d.tiles == 1) {
                memcpy(high + TILE / 2, high, TILE_BYTES / 2);
                memcpy(high + TILE + TILE / 2, high + TILE, TILE_BYTES / 2);
            }
        }
}

typedef struct {
    const plan *p;
    const half *x;
    const bfloat *packed;
    half *y;
} forward_work;

/* Parts of what a tile of blocks reads: [line, column, block of channels, its tiles]. */
static void lay_out(const forward_work *w, const place *at, bfloat *to) {
    const plan *p = w->p;
    depth d = depth_of(p->channels);
    view views[LANES];
    for (int lane = 0; lane < LANES; lane++) views[lane] = read_view(p, at[lane]);
    int whole = are_whole(views, LANES, p->x.length);
    column c;
    for (int y = 0; y < p->y.length; y++)
        for (int x = 0; x < p->x.length; x++) {
            advance(views, LANES, whole, w->x, p->channels, p->x.given, y, x, &c);
            for (int b = 0; b < d.blocks; b++, to += d.tiles * TILE)
                for (int half_block = 0; half_block < d.tiles; half_block++) {
                    int block = b * d.tiles + half_block;
                    bfloat *high = to + half_block * LANES;
                    bfloat *low = to + (d.tiles == 1 ? LANES : TILE + half_block * LANES);
                    __mmask16 lanes = lanes_of(p->channels, block);
                    for (int lane = 0; lane < LANES; lane++)
                        put_parts(high + lane * PARTS, low + lane * PARTS,
                                  number_of(c.of[lane] ? c.of[lane] + block * LANES : NULL,
                                            lanes));
                }
        }
}

/* A tile of sums, rounded to float16: a pixel of each block. */
static inline void write_out(const forward_work *w, const float *sums, const view *views,
                             int y, int x, int block) {
    const plan *p = w->p;
    __mmask16 lanes = lanes_of(p->out_channels, block);
    int64_t away = (int64_t)y * p->x.out + x;
    for (int lane = 0; lane < LANES; lane++) {
        if (y >= views[lane].to_line || x >= views[lane].to) continue;
        half *to = w->y + (views[lane].first + away) * p->out_channels;
        put(to + block * LANES, lanes, _mm512_load_ps(sums + lane * LANES));
    }
}

/* Four pixels, each of as many blocks as a tile has rows. */
typedef struct {
    const bfloat *read;       /* of the pixel's tile of blocks */
    const int *lines, *columns; /* what its taps read */
} pixel;

/* All that is read is a pixel of up to 16 channels, or of blocks of 32. */
#define ADD_PRODUCTS(SUM, A, OF)                                                 \
    {                                                                            \
        int line = (OF).lines[row], from = (OF).columns[column];                 \
        if (line >= 0 && from >= 0) {                                            \
            _tile_loadd(A, (OF).read + ((size_t)line * width + from) * next, 64); \
            _tile_dpbf16ps(SUM, A, 6);                                           \
            _tile_dpbf16ps(SUM, A, 7);                                           \
        }                                                                        \
    }

#define ADD_DEEP_PRODUCTS(SUM, UNUSED, OF)                                       \
    {                                                                            \
        int line = (OF).lines[row], from = (OF).columns[column];                 \
        if (line >= 0 && from >= 0) {                                            \
            const bfloat *at = (OF).read + ((size_t)line * width + from) * next; \
            _tile_loadd(4, at, 64);                                              \
            _tile_dpbf16ps(SUM, 4, 6);                                           \
            _tile_dpbf16ps(SUM, 4, 7);                                           \
            _tile_loadd(5, at + TILE, 64);                                       \
            _tile_dpbf16ps(SUM, 5, 6);                                           \
            if (p->exact) _tile_dpbf16ps(SUM, 5, 7);                             \
        }                                                                        \
    }

#define ADD_ALL_TAPS(ADD)                                                        \
    for (int row = 0; row < p->y.window; row++)                                  \
        for (int column = 0; column < p->x.window; column++, packed += 2 * TILE) { \
            _tile_loadd(6, packed, 64);                                          \
            _tile_loadd(7, packed + TILE, 64);                                   \
            ADD(0, 4, a)                                                         \
            ADD(1, 5, b)                                                         \
            ADD(2, 4, c)                                                         \
            ADD(3, 5, d)                                                         \
        }

static inline void four_pixels(const plan *p, depth of, const pixel *at, const bfloat *packed,
                               float *sums) {
    int width = p->x.length;
    size_t next = (size_t)of.blocks * of.tiles * TILE;
    pixel a = at[0], b = at[1], c = at[2], d = at[3];
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    if (of.tiles == 1) ADD_ALL_TAPS(ADD_PRODUCTS)
    else
        for (int block = 0; block < of.blocks; block++) {
            ADD_ALL_TAPS(ADD_DEEP_PRODUCTS)
            a.read += 2 * TILE, b.read += 2 * TILE, c.read += 2 * TILE, d.read += 2 * TILE;
        }
    _tile_stored(0, sums, 64);
    _tile_stored(1, sums + 256, 64);
    _tile_stored(2, sums + 512, 64);
    _tile_stored(3, sums + 768, 64);
}

static void forward_unit(void *context, int unit) {
    const forward_work *w = context;
    const plan *p = w->p;
    depth d = depth_of(p->channels);
    int output_blocks = blocks(p->out_channels);
    size_t of_tile = (size_t)d.blocks * d.tiles * TILE * p->y.length * p->x.length;
    size_t of_block = (size_t)d.blocks * p->y.window * p->x.window * 2 * TILE;
    bfloat *scratch = thread_memory(0, sizeof(bfloat) * of_tile * p->tiles);
    view *views = thread_memory(1, sizeof(view) * LANES * (size_t)p->tiles);
    if (!scratch || !views) return out_of_memory();
    int64_t first = (int64_t)unit * p->tiles * LANES;
    int tiles = at_most(p->tiles, (int)parts_of(blocks_of_images(p) - (int)first, LANES));
    for (int tile = 0; tile < tiles; tile++) {
        place at[LANES];
        for (int i = 0; i < LANES; i++) {
            at[i] = block_at(p, first + tile * LANES + i);
            views[tile * LANES + i] = written_view(p, at[i]);
        }
        lay_out(w, at, scratch + tile * of_tile);
    }
    int pixels = p->y.size * p->x.size, all = tiles * pixels;
    float sums[GROUP * 256] __attribute__((aligned(64)));
    /* A kernel that is larger than the cache is gone through once for all pixels. */
    _tile_loadconfig(&TILES);
    for (int block = 0; block < output_blocks; block++)
        for (int i = 0; i < all; i += GROUP) {
            pixel four[GROUP];
            for (int t = 0; t < GROUP; t++) {
                int tile = at_most(i + t, all - 1) / pixels;
                int of_tile_at = at_most(i + t, all - 1) % pixels;
                four[t] = (pixel){
                    scratch + tile * of_tile,
                    p->y.of + of_tile_at / p->x.size * p->y.window,
                    p->x.of + of_tile_at % p->x.size * p->x.window,
                };
            }
            four_pixels(p, d, four, w->packed + block * of_block, sums);
            for (int t = 0; t < GROUP && i + t < all; t++) {
                int of_tile_at = (i + t) % pixels;
                write_out(w, sums + 256 * t, views + (i + t) / pixels * LANES,
                          of_tile_at / p->x.size, of_tile_at % p->x.size, block);
            }
        }
    _tile_release();
}

static int run_forward(plan p, const half *x, kernel_tiles k, half *y) {
    depth d = depth_of(p.channels);
    int output_blocks = blocks(p.out_channels);
    p.lanes = LANES;
    k.packed = call_memory((size_t)output_blocks * d.blocks * k.taps * 2 * TILE_BYTES);
    int done = divide(&p, sizeof(bfloat) * PARTS * (size_t)(d.blocks * d.tiles), 0) && k.packed;
    if (done) {
        forward_work w = {&p, x, k.packed, y};
        double tiles = (double)output_blocks * d.blocks * d.tiles * k.taps;
        double products = 2 * tiles * p.images * p.y.out * p.x.out / LANES;
        done = run_in_parallel(output_blocks, OF_TILE * tiles, pack_block, &k) &&
               run_in_parallel(p.units, OF_PRODUCT * products, forward_unit, &w);
    }
    give_back(k.packed);
    free(p.y.of);
    free(p.x.of);
    return done;
}

/* The convolution itself. */
static plan plan_of(const convolution *c) {
    return (plan){
        .images = c->images,
        .channels = c->channels,
        .out_channels = c->out_channels,
        .y = {.given = c->height, .out = c->out_height, .window = c->window_height,
              .tap = c->tap_rows, .stride = c->stride_rows, .holes = 1, .before = c->top},
        .x = {.given = c->width, .out = c->out_width, .window = c->window_width,
              .tap = c->tap_columns, .stride = c->stride_columns, .holes = 1,
              .before = c->left},
    };
}

/* An axis of its transpose: what was written is read, its kernel turned around. */
static axis turned(axis a) {
    return (axis){.given = a.out, .out = a.given, .window = a.window, .tap = a.tap,
                  .stride = 1, .holes = a.stride,
                  .before = (a.window - 1) * a.tap - a.before};
}

int tile_convolve(const convolution *c, const half *x, const half *kernel, half *y) {
    kernel_tiles k = {kernel, c->window_height * c->window_width, c->channels,
                      c->out_channels, (size_t)c->out_channels, 1, 0, NULL};
    plan p = plan_of(c);
    p.exact = 1;
    return run_forward(p, x, k, y);
}

int tile_convolve_back(const convolution *c, const half *slopes, const half *kernel, half *x) {
    plan p = plan_of(c);
    p.y = turned(p.y), p.x = turned(p.x);
    p.channels = c->out_channels, p.out_channels = c->channels;
    kernel_tiles k = {kernel, c->window_height * c->window_width, c->out_channels,
                      c->channels, 1, (size_t)c->out_channels, 1, NULL};
    return run_forward(p, slopes, k, x);
}

/* ---- gradients of kernels ------------------------------------------------------ */

/* Sums over blocks: the columns of first factors, and the pairs of rows of second ones,
 * are the same pixel of 32 blocks. */
typedef struct {
    const plan *p;
    const half *inputs, *slopes;
    int partials, parts_of_channels; /* tasks: partial sums by ranges of channels */
    float *sums; /* [partials, input block, output block, taps, 256] */
    half *kernel;
} kernel_work;

/* High parts, [channel, lane], and behind them low parts. */
static inline void put_across(const column *c, int offset, __mmask16 lanes, bfloat *to) {
    for (int first = 0; first < PARTS; first += LANES) {
        __m512i words[LANES];
        for (int i = 0; i < LANES; i++) {
            const half *at = c->of[first + i];
            __m512 number = number_of(at ? at + offset : NULL, lanes);
            words[i] = paired(low_part(number), high_part(number));
        }
        transpose((numbers *)words);
        for (int i = 0; i < LANES; i++) {
            __m256i *high = (__m256i *)(to + i * PARTS + first);
            _mm256_store_si256(high, narrow(words[i]));
            _mm256_store_si256(high + TILE / LANES, _mm512_cvtepi32_epi16(words[i]));
        }
    }
}

/* High parts, [pair of lanes, channel, 2], and behind them low parts. */
static inline void put_pairs(const column *c, int offset, __mmask16 lanes, bfloat *to) {
    for (int i = 0; i < PARTS; i += 2, to += PARTS) {
        const half *at = c->of[i], *beside = c->of[i + 1];
        __m512 first = number_of(at ? at + offset : NULL, lanes);
        __m512 second = number_of(beside ? beside + offset : NULL, lanes);
        _mm512_store_si512(to, paired(high_part(first), high_part(second)));
        _mm512_store_si512(to + TILE, paired(low_part(first), low_part(second)));
    }
}

/* What 32 blocks read, [line, column, block of channels, 2 tiles]. */
static void lay_across(const kernel_work *w, const place *at, int first_block, int count,
                       bfloat *to) {
    const plan *p = w->p;
    view views[PARTS];
    for (int lane = 0; lane < PARTS; lane++) views[lane] = read_view(p, at[lane]);
    int whole = are_whole(views, PARTS, p->x.length);
    column c;
    for (int y = 0; y < p->y.length; y++)
        for (int x = 0; x < p->x.length; x++) {
            advance(views, PARTS, whole, w->inputs, p->channels, p->x.given, y, x, &c);
            for (int b = 0; b < count; b++, to += 2 * TILE)
                put_across(&c, (first_block + b) * LANES,
                           lanes_of(p->channels, first_block + b), to);
        }
}

/* Their slopes, [line, column, block of channels, 2 tiles]. */
static void lay_in_pairs(const kernel_work *w, const place *at, bfloat *to) {
    const plan *p = w->p;
    int output_blocks = blocks(p->out_channels);
    view views[PARTS];
    for (int lane = 0; lane < PARTS; lane++) views[lane] = written_view(p, at[lane]);
    int whole = are_whole(views, PARTS, p->x.size);
    column c;
    for (int y = 0; y < p->y.size; y++)
        for (int x = 0; x < p->x.size; x++) {
            advance(views, PARTS, whole, w->slopes, p->out_channels, p->x.out, y, x, &c);
            for (int o = 0; o < output_blocks; o++, to += 2 * TILE)
                put_pairs(&c, o * LANES, lanes_of(p->out_channels, o), to);
        }
}

/* Up to three sums of the kernel's gradient: a tap of a block of inputs each. */
typedef struct {
    const bfloat *read;
    int row, column;
} tap;

#define ADD_TAP(SUM, OF)                                                             \
    {                                                                                \
        int line = lines[(OF).row], from = columns[(OF).column];                     \
        if (line >= 0 && from >= 0) {                                                \
            const bfloat *at = (OF).read + ((size_t)line * p->x.length + from) * next; \
            _tile_loadd(5, at, 64);                                                  \
            _tile_dpbf16ps(SUM, 5, 3);                                               \
            _tile_dpbf16ps(SUM, 5, 4);                                               \
            _tile_loadd(6, at + TILE, 64);                                           \
            _tile_dpbf16ps(SUM, 6, 3);                                               \
        }                                                                            \
    }

static inline void add_taps(const plan *p, const tap *taps, int count, int tiles, size_t next,
                            const bfloat *slopes, size_t next_slopes, int is_first,
                            float *const *sums) {
    tap a = taps[0], b = taps[1], c = taps[2];
    size_t of_tile = next * p->y.length * p->x.length;
    if (is_first) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
    } else {
        _tile_loadd(0, sums[0], 64);
        if (count > 1) _tile_loadd(1, sums[1], 64);
        if (count > 2) _tile_loadd(2, sums[2], 64);
    }
    for (int tile = 0; tile < tiles; tile++) {
        for (int y = 0; y < p->y.size; y++)
            for (int x = 0; x < p->x.size; x++, slopes += next_slopes) {
                const int *lines = p->y.of + y * p->y.window;
                const int *columns = p->x.of + x * p->x.window;
                _tile_loadd(3, slopes, 64);
                _tile_loadd(4, slopes + TILE, 64);
                ADD_TAP(0, a)
                if (count > 1) ADD_TAP(1, b)
                if (count > 2) ADD_TAP(2, c)
            }
        a.read += of_tile, b.read += of_tile, c.read += of_tile;
    }
    _tile_stored(0, sums[0], 64);
    if (count > 1) _tile_stored(1, sums[1], 64);
    if (count > 2) _tile_stored(2, sums[2], 64);
}

/* A tile of sums over all partial ones, that lie so far apart, rounded to float16. */
static inline void round_tile(const kernel_work *w, int b, int o, int k, const float *sums,
                              int partials, size_t apart) {
    const plan *p = w->p;
    __mmask16 lanes = lanes_of(p->out_channels, o);
    for (int i = 0; i < LANES && b * LANES + i < p->channels; i++) {
        const float *at = sums + i * LANES;
        __m512 sum = _mm512_load_ps(at);
        for (int partial = 1; partial < partials; partial++)
            sum = _mm512_add_ps(sum, _mm512_load_ps(at + partial * apart));
        size_t to = ((size_t)k * p->channels + b * LANES + i) * p->out_channels;
        put(w->kernel + to + o * LANES, lanes, sum);
    }
}

static void kernel_task(void *context, int task) {
    const kernel_work *w = context;
    const plan *p = w->p;
    int partial = task / w->parts_of_channels, part = task % w->parts_of_channels;
    int input_blocks = blocks(p->channels), output_blocks = blocks(p->out_channels);
    int first = input_blocks * part / w->parts_of_channels;
    int count = input_blocks * (part + 1) / w->parts_of_channels - first;
    int taps = p->y.window * p->x.window;
    size_t next = (size_t)count * 2 * TILE, next_slopes = (size_t)output_blocks * 2 * TILE;
    size_t of_tile = next * p->y.length * p->x.length;
    size_t of_slopes = next_slopes * p->y.size * p->x.size;
    bfloat *read = thread_memory(0, sizeof(bfloat) * of_tile * p->tiles);
    bfloat *slopes = thread_memory(1, sizeof(bfloat) * of_slopes * p->tiles);
    if (!read || !slopes) return out_of_memory();
    size_t of_block = (size_t)output_blocks * taps * 256; /* sums of a block of inputs */
    float *sums = w->sums + ((size_t)partial * input_blocks + first) * of_block;
    float alone[TAPS * 256] __attribute__((aligned(64)));
    _tile_loadconfig(&TILES);
    int from = (int)((int64_t)p->units * partial / w->partials);
    int last = (int)((int64_t)p->units * (partial + 1) / w->partials);
    int is_alone = p->units == 1; /* then there is one partial sum of each */
    for (int unit = from; unit < last; unit++) {
        int64_t begin = (int64_t)unit * p->tiles * PARTS;
        int tiles = at_most(p->tiles, parts_of(blocks_of_images(p) - (int)begin, PARTS));
        for (int tile = 0; tile < tiles; tile++) {
            place at[PARTS];
            for (int i = 0; i < PARTS; i++) at[i] = block_at(p, begin + tile * PARTS + i);
            lay_across(w, at, first, count, read + tile * of_tile);
            lay_in_pairs(w, at, slopes + tile * of_slopes);
        }
        for (int o = 0; o < output_blocks; o++)
            for (int i = 0; i < count * taps; i += TAPS) {
                tap of[TAPS];
                float *to[TAPS];
                for (int t = 0; t < TAPS; t++) {
                    int j = at_most(i + t, count * taps - 1), b = j / taps, k = j % taps;
                    of[t] = (tap){read + (size_t)b * 2 * TILE, k / p->x.window,
                                  k % p->x.window};
                    to[t] = is_alone ? alone + t * 256
                                     : sums + b * of_block + ((size_t)o * taps + k) * 256;
                }
                int side = at_most(TAPS, count * taps - i);
                add_taps(p, of, side, tiles, next, slopes + (size_t)o * 2 * TILE, next_slopes,
                         unit == from, to);
                /* Sums that nothing is added to are rounded while they are in the cache. */
                for (int t = 0; is_alone && t < side; t++)
                    round_tile(w, first + (i + t) / taps, o, (i + t) % taps, to[t], 1, 0);
            }
    }
    _tile_release();
}

/* The partial sums of a block of input channels, added and rounded. */
static void round_block(void *context, int b) {
    const kernel_work *w = context;
    const plan *p = w->p;
    int taps = p->y.window * p->x.window, output_blocks = blocks(p->out_channels);
    size_t all = (size_t)blocks(p->channels) * output_blocks * taps * 256;
    for (int o = 0; o < output_blocks; o++)
        for (int k = 0; k < taps; k++)
            round_tile(w, b, o, k, w->sums + (((size_t)b * output_blocks + o) * taps + k) * 256,
                       w->partials, all);
}

int tile_kernel_gradient(const convolution *c, const half *x, const half *slopes, half *kernel) {
    plan p = plan_of(c);
    p.lanes = PARTS;
    int input_blocks = blocks(c->channels), output_blocks = blocks(c->out_channels);
    int done = divide(&p, sizeof(bfloat) * PARTS * (size_t)input_blocks,
                      sizeof(bfloat) * PARTS * (size_t)output_blocks);
    size_t all = (size_t)input_blocks * output_blocks * c->window_height * c->window_width * 256;
    int partials = at_most(PARTIALS, (int)(PARTIAL_BYTES / (sizeof(float) * all)));
    partials = at_most(at_least(partials, 1), p.units);
    kernel_work w = {&p, x, slopes, partials,
                     at_most(input_blocks, at_least(1, PARTIALS / partials / 2)),
                     call_memory(sizeof(float) * all * partials), kernel};
    double tiles = (double)all / 256;
    double products = 3 * tiles * p.images * p.y.out * p.x.out / PARTS;
    done = done && w.sums &&
           run_in_parallel(partials * w.parts_of_channels, OF_PRODUCT * products, kernel_task,
                           &w) &&
           (p.units == 1 ||
            run_in_parallel(input_blocks, OF_TILE * tiles * partials, round_block, &w));
    give_back(w.sums);
    free(p.y.of);
    free(p.x.of);
    return done;
}
