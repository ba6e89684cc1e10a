/* Dropout of float16: what is drawn for an element depends on its place and a key alone,
 * so that the gradient draws the same again and nothing is kept for it. */
#include "kernels.h"

#include "randoms.h"
#include "threads.h"

enum { CHUNK = 1 << 15 /* numbers of a task */ };

typedef struct {
    const drop *of;
    const uint16_t *x;
    uint16_t *y;
    int64_t size;
} drop_work;

static void drop_task(void *context, int task) {
    const drop_work *w = context;
    numbers scale = n_all(w->of->scale);
    integers least = i_all((int)w->of->least);
    int64_t first = (int64_t)task * CHUNK, end = first + CHUNK < w->size ? first + CHUNK : w->size;
    for (int64_t i = first; i < end; i += LANES) {
        filled lanes = lanes_at((int)(end - i), 0);
        /* The second word of the key goes between two rounds, and the index beyond 32
         * bits with it. */
        uint32_t beyond = w->of->key[1] + (uint32_t)(i >> 32) * GOLDEN;
        integers words = mixed(indices(i, w->of->key[0]));
        words = mixed(i_xor(words, i_all((int)beyond)));
        numbers y = n_mul(loaded(w->x + i, lanes), scale);
        put(w->y + i, lanes, n_where_or_0(i_at_least(words, least), y));
    }
}

int dropped(const drop *d, const uint16_t *x, int64_t size, uint16_t *y) {
    drop_work w = {d, x, y, size};
    return run_in_parallel((int)((size + CHUNK - 1) / CHUNK), 0.3 * (double)size, drop_task, &w);
}
