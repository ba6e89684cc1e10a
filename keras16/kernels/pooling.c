/* Maxima of windows over float16 images, compared as whole numbers.
 *
 * A gradient is gathered where windows overlap: each number adds what the windows hand to
 * it whose first maximum it is, in float32 and in their order, and is rounded once. So no
 * task writes where another does.
 */
#include "kernels.h"

#include "threads.h"
#include "vectors.h"
#include "windows.h"

enum {
    BAND = 16,   /* lines of an image that a task gathers for */
    AHEAD = 512, /* numbers that are brought early, of those in a row */
};

typedef struct {
    const convolution *c;
    const uint16_t *x, *of; /* images; what comes from its maxima, or goes to them */
    uint16_t *to;
    int bands; /* of an image */
} pooling;

/* The lines of windows that hold a row of an image. */
static span lines_with(const convolution *c, int row) {
    axis lines = {c->height, c->out_height, c->window_height, c->stride_rows, c->top};
    return windows_with(&lines, row);
}

/* The same of a column, from those of the column before it: a division takes too long. */
static inline span columns_with(const convolution *c, int column, span before) {
    int at = column + c->left, stride = c->stride_columns;
    while (before.last < c->out_width && before.last * stride <= at) before.last++;
    while (before.first < before.last && before.first * stride + c->window_width <= at)
        before.first++;
    return before;
}

/* How far it is to the same place of the windows below. They are brought from memory as
 * those above are read or written: windows jump too much for the CPU to guess it. */
static inline size_t to_next_line(const convolution *c) {
    return (size_t)c->stride_rows * c->width * c->channels;
}

/* What a window has of its image: where that begins, as a number of x and as a place of
 * the window, counted line by line. */
typedef struct {
    int rows, columns, place;
    size_t begin;
} window;

static inline window window_of(const convolution *c, int image, int line, int column) {
    int top = line * c->stride_rows - c->top, left = column * c->stride_columns - c->left;
    span rows = within(top, top + c->window_height, c->height);
    span columns = within(left, left + c->window_width, c->width);
    return (window){
        rows.last - rows.first, columns.last - columns.first,
        (rows.first - top) * c->window_width + columns.first - left,
        (((size_t)image * c->height + rows.first) * c->width + columns.first) * c->channels,
    };
}

/* A whole number without sign in the order of the numbers: 0 for minus infinity, the same
 * for both zeros, and one beyond the others for all that is no number. */
static inline shorts key(shorts x) {
    const shorts infinity = s_all(0x7c00), most = s_all(0xf801), turned = s_all(0xfc00);
    shorts k = s_where(s_above(s_zero(), x), s_sub(turned, x), s_add(x, infinity));
    return s_min_unsigned(k, most);
}

/* Of the first maximum of a window in each of some channels from one on: its place, or what
 * the other numbers are there. */
static inline __attribute__((always_inline)) shorts at_first(const pooling *w,
                                                             const int wants_place,
                                                             const window *in, int channel) {
    const convolution *c = w->c;
    filled_shorts words = words_at(c->channels - channel);
    size_t line = in->begin + channel, below = to_next_line(c);
    shorts most = s_zero();
    shorts found = wants_place ? s_all(in->place) : s_load(w->of + line, words);
    for (int row = 0; row < in->rows; row++, line += (size_t)c->width * c->channels) {
        size_t at = line;
        int place = in->place + row * c->window_width;
        for (int column = 0; column < in->columns; column++, at += c->channels) {
            __builtin_prefetch(w->x + at + below);
            shorts k = key(s_load(w->x + at, words));
            chosen_shorts more = s_above_unsigned(k, most);
            most = s_max_unsigned(most, k);
            found = s_where(more, wants_place ? s_all(place + column) : s_load(w->of + at, words),
                            found);
        }
    }
    return found;
}

static void maxima_of_line(void *context, int task) {
    const pooling *w = context;
    const convolution *c = w->c;
    int image = task / c->out_height, line = task % c->out_height;
    uint16_t *to = w->to + (size_t)task * c->out_width * c->channels;
    for (int x = 0; x < c->out_width; x++, to += c->channels) {
        window in = window_of(c, image, line, x);
        for (int channel = 0; channel < c->channels; channel += WORDS)
            s_store(to + channel, words_at(c->channels - channel), at_first(w, 0, &in, channel));
    }
}

/* ---- gradients ---------------------------------------------------------------------- */

/* Where the first maxima are of some lines of windows. */
typedef struct {
    int image, width; /* channels in whole registers */
    span lines;
    uint16_t *places; /* [lines, windows of a line, width] */
} known;

static void find_places(const pooling *w, const known *k) {
    const convolution *c = w->c;
    uint16_t *to = k->places;
    for (int line = k->lines.first; line < k->lines.last; line++)
        for (int x = 0; x < c->out_width; x++, to += k->width) {
            window in = window_of(c, k->image, line, x);
            for (int channel = 0; channel < c->channels; channel += WORDS)
                s_store_all(to + channel, at_first(w, 1, &in, channel));
        }
}

/* The windows that hold a place of an image: what is there of the first of them, and how
 * far it is to the one beside it and the one below. */
typedef struct {
    int lines, columns, place, place_right, place_below;
    const uint16_t *places, *slopes;
    size_t right, below, slopes_below; /* the slopes of the one beside it: channels away */
} holders;

static inline holders holders_of(const pooling *w, const known *k, span lines, int row,
                                 span columns, int column) {
    const convolution *c = w->c;
    int down = row + c->top - lines.first * c->stride_rows;
    size_t at = (size_t)(lines.first - k->lines.first) * c->out_width + columns.first;
    size_t from = ((size_t)k->image * c->out_height + k->lines.first) * c->out_width + at;
    return (holders){
        lines.last - lines.first, columns.last - columns.first,
        down * c->window_width + column + c->left - columns.first * c->stride_columns,
        c->stride_columns, c->stride_rows * c->window_width,
        k->places + at * k->width, w->of + from * c->channels,
        k->width, (size_t)c->out_width * k->width, (size_t)c->out_width * c->channels,
    };
}

/* The slopes of those whose first maximum is that place. */
static inline shorts handed(const uint16_t *places, const uint16_t *slopes, int place,
                            filled_shorts words) {
    return s_where_or_0(s_equal(s_load_all(places), s_all(place)), s_load(slopes, words));
}

static inline shorts gathered(const holders *h, int channels, int channel, filled_shorts words) {
    const uint16_t *places = h->places + channel, *slopes = h->slopes + channel;
    if (h->lines * h->columns == 1) return handed(places, slopes, h->place, words);
    numbers low = n_zero(), high = low;
    for (int line = 0; line < h->lines; line++) {
        const uint16_t *of = places + line * h->below, *from = slopes + line * h->slopes_below;
        int place = h->place - line * h->place_below;
        for (int column = 0; column < h->columns; column++) {
            shorts slope = handed(of, from, place, words);
            low = n_add(low, h_numbers(s_low(slope)));
            high = n_add(high, h_numbers(s_high(slope)));
            of += h->right, from += channels, place -= h->place_right;
        }
    }
    return s_joined(rounded(low), rounded(high));
}

static void gather_line(const pooling *w, const known *k, int row) {
    int channels = w->c->channels, width = w->c->width;
    span lines = lines_with(w->c, row), columns = {0, 0};
    uint16_t *to = w->to + ((size_t)k->image * w->c->height + row) * width * channels;
    for (int column = 0; column < width; column++, to += channels) {
        columns = columns_with(w->c, column, columns);
        holders h = holders_of(w, k, lines, row, columns, column);
        for (int channel = 0; channel < channels; channel += WORDS) {
            filled_shorts words = words_at(channels - channel);
            __builtin_prefetch(h.slopes + channel + AHEAD);
            __builtin_prefetch(to + channel + AHEAD, 1);
            shorts sum = gathered(&h, channels, channel, words);
            s_store(to + channel, words, sum);
        }
    }
}

static void gather_band(void *context, int task) {
    const pooling *w = context;
    const convolution *c = w->c;
    span rows = within(task % w->bands * BAND, (task % w->bands + 1) * BAND, c->height);
    known k = {.image = task / w->bands, .width = (c->channels + WORDS - 1) / WORDS * WORDS,
               .lines = {lines_with(c, rows.first).first, lines_with(c, rows.last - 1).last}};
    size_t lines = (size_t)(k.lines.last - k.lines.first) + 1; /* or there might be none */
    k.places = thread_memory(0, sizeof *k.places * lines * c->out_width * k.width);
    if (!k.places) return out_of_memory();
    find_places(w, &k);
    for (int row = rows.first; row < rows.last; row++) gather_line(w, &k, row);
}

/* Where windows cover an image side by side, each number has one: it is written at once. */

static int is_tiled(int count, int size, int stride, int before, int length) {
    return size == stride && (int64_t)count * size - before >= length;
}

/* What a window hands to its places. */
static inline void hand_out(const pooling *w, const window *in, const uint16_t *slopes,
                            int channel) {
    const convolution *c = w->c;
    filled_shorts words = words_at(c->channels - channel);
    __builtin_prefetch(slopes + channel + AHEAD);
    shorts first = at_first(w, 1, in, channel), slope = s_load(slopes + channel, words);
    size_t line = in->begin + channel, below = to_next_line(c);
    for (int row = 0; row < in->rows; row++, line += (size_t)c->width * c->channels) {
        uint16_t *to = w->to + line;
        int place = in->place + row * c->window_width;
        for (int column = 0; column < in->columns; column++, to += c->channels) {
            shorts here = s_all(place + column);
            __builtin_prefetch(to + below, 1);
            s_store(to, words, s_where_or_0(s_equal(first, here), slope));
        }
    }
}

static void hand_out_line(void *context, int task) {
    const pooling *w = context;
    const convolution *c = w->c;
    const uint16_t *slopes = w->of + (size_t)task * c->out_width * c->channels;
    for (int x = 0; x < c->out_width; x++, slopes += c->channels) {
        window in = window_of(c, task / c->out_height, task % c->out_height, x);
        for (int channel = 0; channel < c->channels; channel += WORDS)
            hand_out(w, &in, slopes, channel);
    }
}

/* About what a comparison takes, times how many there are. */
static double nanoseconds(const convolution *c) {
    double windows = (double)c->images * c->out_height * c->out_width;
    return windows * c->window_height * c->window_width * (1 + c->channels / WORDS);
}

int maxima(const convolution *c, const uint16_t *x, const uint16_t *of, uint16_t *y) {
    pooling w = {.c = c, .x = x, .of = of, .to = y};
    return run_in_parallel(c->images * c->out_height, nanoseconds(c), maxima_of_line, &w);
}

int maxima_back(const convolution *c, const uint16_t *x, const uint16_t *slopes,
                uint16_t *of_x) {
    pooling w = {c, x, slopes, of_x, (c->height + BAND - 1) / BAND};
    if (is_tiled(c->out_height, c->window_height, c->stride_rows, c->top, c->height) &&
        is_tiled(c->out_width, c->window_width, c->stride_columns, c->left, c->width))
        return run_in_parallel(c->images * c->out_height, 2 * nanoseconds(c), hand_out_line, &w);
    return run_in_parallel(c->images * w.bands, 2 * nanoseconds(c), gather_band, &w);
}
