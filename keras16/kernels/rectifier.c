/* Rectified linear units, by comparing the bits of float16 numbers as whole numbers. */
#include "kernels.h"

#include "threads.h"
#include "vectors.h"

enum { CHUNK = 1 << 15 /* elements of a task */ };

typedef struct {
    const uint16_t *x, *slopes;
    uint16_t *to;
    int64_t size;
    uint16_t most;
} rectifier;

static inline int64_t end_of(const rectifier *w, int task) {
    int64_t end = ((int64_t)task + 1) * CHUNK;
    return end < w->size ? end : w->size;
}

static void value_task(void *context, int task) {
    const rectifier *w = context;
    const shorts infinity = s_all(0x7c00), most = s_all(w->most), magnitude = s_all(0x7fff);
    for (int64_t i = (int64_t)task * CHUNK, end = end_of(w, task); i < end; i += WORDS) {
        filled_shorts words = words_at(end - i);
        shorts x = s_load(w->x + i, words), y = s_min(s_max(x, s_zero()), most);
        chosen_shorts is_nan = s_above(s_and(x, magnitude), infinity);
        s_store(w->to + i, words, s_where(is_nan, x, y));
    }
}

static void slope_task(void *context, int task) {
    const rectifier *w = context;
    const shorts most = s_all(w->most);
    for (int64_t i = (int64_t)task * CHUNK, end = end_of(w, task); i < end; i += WORDS) {
        filled_shorts words = words_at(end - i);
        shorts y = s_load(w->x + i, words), slopes = s_load(w->slopes + i, words);
        chosen_shorts passes = s_both(s_above(y, s_zero()), s_above(most, y));
        s_store(w->to + i, words, s_where_or_0(passes, slopes));
    }
}

static int run(rectifier w, void (*task)(void *, int)) {
    const double of_number = 0.2; /* nanoseconds */
    return run_in_parallel((int)((w.size + CHUNK - 1) / CHUNK), of_number * (double)w.size, task,
                           &w);
}

int rectify(const uint16_t *x, int64_t size, uint16_t most, uint16_t *y) {
    return run((rectifier){.x = x, .to = y, .size = size, .most = most}, value_task);
}

int rectify_back(const uint16_t *slopes, const uint16_t *y, int64_t size, uint16_t most,
                 uint16_t *x) {
    return run((rectifier){.x = y, .slopes = slopes, .to = x, .size = size, .most = most},
               slope_task);
}
