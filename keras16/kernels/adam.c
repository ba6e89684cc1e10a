/* Adam's step for one float16 variable, its slots rounded by chance.
 *
 * What optimizers/adam.py says in integers: the averages are those over the steps so far,
 * the second one is kept as its root, and what is drawn for an element in a step is the
 * same word that numerics/noise.py draws. Here each number is read once and written once.
 */
#include "kernels.h"

#include <math.h>

#include "randoms.h"
#include "threads.h"

enum {
    CHUNK = 1 << 14,                /* elements of a task */
    NANOSECONDS = 2,                /* of an element */
    EXPONENT = 23,                  /* where it lies in a float32 */
    SMALLEST = 113,                 /* that of 2**-14, the smallest normal float16 */
    INFINITE = 143,                 /* that of 2**16 */
    MANTISSA = 10,                  /* bits of a float16's */
};

typedef struct {
    const adam_step *s;
    const uint16_t *gradient;
    adam_state from, to;
    int64_t size, first;
} adam_work;

/* Random words of sixteen elements. */
static inline __m512i drawn(int64_t first, int32_t key, int32_t step) {
    __m512i words = mixed(indices(first, (uint32_t)key));
    return _mm512_add_epi32(words, _mm512_set1_epi32((int)((uint32_t)step * GOLDEN)));
}

/* One of the two float16 beside a number, by a chance that makes it right on average: what
 * is left of the number and a random share of a last place, cut off to whole ones. */
static inline __m512 by_chance(__m512 x, __m512i random) {
    enum { ZERO = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC };
    __m512 size = _mm512_abs_ps(x);
    /* The power of two below it; all subnormal numbers have the same last place, and none
     * has a greater one than the first that are infinite. */
    __m512i power = _mm512_and_si512(_mm512_castps_si512(size), _mm512_set1_epi32(0x7f800000));
    power = _mm512_max_epi32(power, _mm512_set1_epi32(SMALLEST << EXPONENT));
    power = _mm512_min_epi32(power, _mm512_set1_epi32(INFINITE << EXPONENT));
    __m512 place = _mm512_castsi512_ps(
        _mm512_sub_epi32(power, _mm512_set1_epi32(MANTISSA << EXPONENT)));
    /* Times its place, a float32 holds no fractions. */
    __m512 whole = _mm512_castsi512_ps(
        _mm512_add_epi32(power, _mm512_set1_epi32((EXPONENT - MANTISSA) << EXPONENT)));
    __m512 share = _mm512_mul_ps(_mm512_cvt_roundepu32_ps(random, ZERO), _mm512_set1_ps(0x1p-32f));
    __m512 sum = _mm512_fmadd_round_ps(share, place, size, ZERO);
    sum = _mm512_sub_ps(_mm512_add_round_ps(sum, whole, ZERO), whole);
    __mmask16 is_beyond = _mm512_cmp_ps_mask(sum, _mm512_set1_ps(65536), _CMP_GE_OQ);
    sum = _mm512_mask_mov_ps(sum, is_beyond, _mm512_set1_ps(INFINITY));
    return _mm512_or_ps(sum, _mm512_and_ps(x, _mm512_set1_ps(-0.0f)));
}

/* A quotient; 0 where the divisor is. */
static inline __m512 over(__m512 x, __m512 by) {
    __mmask16 is_some = _mm512_cmp_ps_mask(by, _mm512_setzero_ps(), _CMP_NEQ_UQ);
    return _mm512_maskz_div_ps(is_some, x, by);
}

static void adam_task(void *context, int task) {
    const adam_work *w = context;
    const adam_step *s = w->s;
    __m512 share_1 = _mm512_set1_ps(s->share_1), share_2 = _mm512_set1_ps(s->share_2);
    __m512 rate = _mm512_set1_ps(s->rate), floor = _mm512_set1_ps(s->floor);
    __m512 decay = _mm512_set1_ps(s->rate * s->decay);
    int64_t end = (int64_t)(task + 1) * CHUNK;
    if (end > w->size) end = w->size;
    for (int64_t i = (int64_t)task * CHUNK; i < end; i += LANES) {
        __mmask16 lanes = lanes_at((int)(end - i), 0);
        __m512 gradient = loaded(w->gradient + i, lanes), weight = loaded(w->from.weight + i, lanes);
        __m512 mean = loaded(w->from.mean + i, lanes), root = loaded(w->from.root + i, lanes);
        mean = _mm512_fmadd_ps(share_1, _mm512_sub_ps(gradient, mean), mean);
        mean = by_chance(mean, drawn(w->first + i, s->key_of_mean, s->step));
        put(w->to.mean + i, lanes, mean);
        /* As the old root and more, since the new one alone would round away what it
         * moves by. */
        __m512 size = _mm512_abs_ps(gradient);
        __m512 more = _mm512_mul_ps(
            share_2, _mm512_mul_ps(_mm512_sub_ps(size, root), _mm512_add_ps(size, root)));
        __m512 square = _mm512_fmadd_ps(root, root, more);
        __m512 moved = _mm512_sqrt_ps(_mm512_max_ps(_mm512_setzero_ps(), square));
        root = _mm512_add_ps(root, over(more, _mm512_add_ps(moved, root)));
        root = _mm512_max_ps(_mm512_setzero_ps(), root);
        root = by_chance(root, drawn(w->first + i, s->key_of_root, s->step));
        put(w->to.root + i, lanes, root);
        __m512 step = _mm512_mul_ps(rate, over(mean, _mm512_add_ps(root, floor)));
        step = _mm512_fmadd_ps(decay, weight, step);
        put(w->to.weight + i, lanes, _mm512_sub_ps(weight, step));
    }
}

int adam(const adam_step *s, const uint16_t *gradient, adam_state from, adam_state to,
         int64_t size, int64_t first) {
    adam_work w = {s, gradient, from, to, size, first};
    return run_in_parallel((int)((size + CHUNK - 1) / CHUNK), NANOSECONDS * (double)size, adam_task,
                           &w);
}
