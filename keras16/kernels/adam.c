/* Adam's step for one float16 variable, its slots rounded by chance.
 *
 * What optimizers/adam.py says in integers: the averages are those over the steps so far,
 * the second one is kept as its root, and what is drawn for an element in a step is the
 * same word that numerics/noise.py draws. Here each number is read once and written once.
 */
#include "kernels.h"

#include "randoms.h"
#include "threads.h"

enum {
    CHUNK = 1 << 14,                /* elements of a task */
    NANOSECONDS = 2,                /* of an element */
    EXPONENT = 23,                  /* where it lies in a float32 */
    LEAST = 113,                    /* that of the smallest normal float16, 2**-14 */
    LOST = 13,                      /* bits of a float32 that a float16 has no room for */
    LONGEST = 30,
};

typedef struct {
    const adam_step *s;
    const uint16_t *gradient;
    adam_state from, to;
    int64_t size;
} adam_work;

/* Random words of sixteen elements. */
static inline __m512i drawn(int64_t first, int32_t key, int32_t step) {
    __m512i words = mixed(indices(first, (uint32_t)key));
    return _mm512_add_epi32(words, _mm512_set1_epi32((int)((uint32_t)step * GOLDEN)));
}

/* One of the two float16 beside a number, by a chance that makes it right on average. */
static inline __m256i by_chance(__m512 x, __m512i random) {
    __m512i raw = _mm512_castps_si512(x);
    __m512i size = _mm512_and_si512(raw, _mm512_set1_epi32(0x7fffffff));
    __m512i field = _mm512_srli_epi32(size, EXPONENT);
    __m512i least = _mm512_set1_epi32(LEAST);
    /* Subnormal numbers all have the lowest place. */
    __m512i shift = _mm512_add_epi32(
        _mm512_max_epi32(_mm512_sub_epi32(least, field), _mm512_setzero_si512()),
        _mm512_set1_epi32(LOST));
    shift = _mm512_min_epi32(shift, _mm512_set1_epi32(LONGEST));
    __m512i units = _mm512_or_si512(_mm512_and_si512(size, _mm512_set1_epi32(0x7fffff)),
                                    _mm512_set1_epi32(0x800000));
    units = _mm512_maskz_mov_epi32(_mm512_test_epi32_mask(field, field), units);
    __m512i chance = _mm512_srlv_epi32(random, _mm512_sub_epi32(_mm512_set1_epi32(32), shift));
    __m512i kept = _mm512_srlv_epi32(_mm512_add_epi32(units, chance), shift);
    __m512i base = _mm512_sub_epi32(_mm512_max_epi32(field, least), least);
    __m512i found = _mm512_add_epi32(_mm512_slli_epi32(base, 10), kept);
    /* Beyond the format infinite; a carry from its end is. */
    found = _mm512_min_epi32(found, _mm512_set1_epi32(0x7c00));
    __m512i sign = _mm512_and_si512(_mm512_srli_epi32(raw, 16), _mm512_set1_epi32(0x8000));
    __m256i result = _mm512_cvtepi32_epi16(_mm512_or_si512(found, sign));
    __mmask16 is_special = _mm512_cmpeq_epi32_mask(field, _mm512_set1_epi32(255));
    return _mm256_mask_mov_epi16(result, is_special, rounded(x));
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
        __m256i kept = by_chance(mean, drawn(i, s->key_of_mean, s->step));
        _mm256_mask_storeu_epi16(w->to.mean + i, lanes, kept);
        mean = _mm512_cvtph_ps(kept);
        /* As the old root and more, since the new one alone would round away what it
         * moves by. */
        __m512 size = _mm512_abs_ps(gradient);
        __m512 more = _mm512_mul_ps(
            share_2, _mm512_mul_ps(_mm512_sub_ps(size, root), _mm512_add_ps(size, root)));
        __m512 square = _mm512_fmadd_ps(root, root, more);
        __m512 moved = _mm512_sqrt_ps(_mm512_max_ps(_mm512_setzero_ps(), square));
        root = _mm512_add_ps(root, over(more, _mm512_add_ps(moved, root)));
        root = _mm512_max_ps(_mm512_setzero_ps(), root);
        kept = by_chance(root, drawn(i, s->key_of_root, s->step));
        _mm256_mask_storeu_epi16(w->to.root + i, lanes, kept);
        root = _mm512_cvtph_ps(kept);
        __m512 step = _mm512_mul_ps(rate, over(mean, _mm512_add_ps(root, floor)));
        step = _mm512_fmadd_ps(decay, weight, step);
        put(w->to.weight + i, lanes, _mm512_sub_ps(weight, step));
    }
}

int adam(const adam_step *s, const uint16_t *gradient, adam_state from, adam_state to,
         int64_t size) {
    adam_work w = {s, gradient, from, to, size};
    return run_in_parallel((int)((size + CHUNK - 1) / CHUNK), NANOSECONDS * (double)size, adam_task,
                           &w);
}
