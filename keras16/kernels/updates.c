/* What optimizers add to float16 variables, their slots rounded by chance.
 *
 * What optimizers/adam.py, rmsprop.py and sgd.py say in integers: second moments are kept as
 * their roots, a velocity times a power of two, and what is drawn for an element in a step
 * is the same word that numerics/noise.py draws. Here each number is read once and written
 * once.
 */
#include "kernels.h"

#include <math.h>
#include <stdlib.h>

#include "randoms.h"
#include "threads.h"

enum {
    CHUNK = 1 << 14,  /* elements of a task */
    NANOSECONDS = 1,  /* of an element */
    EXPONENT = 23,    /* where it lies in a float32 */
    SMALLEST = 113,   /* that of 2**-14, the smallest normal float16 */
    INFINITE = 143,   /* that of 2**16 */
    MANTISSA = 10,    /* bits of a float16's */
    HIGHEST_PLACE = 13, /* of a velocity as it is kept: rounding does not overflow it */
    LEAST_POWER = -126, /* whose inverse is a float32 */
};

/* Sixteen elements of a variable. */
typedef struct {
    int64_t at;
    __mmask16 lanes;
    __m512 gradient, weight;
} part;

/* A step of whatever kind, of a variable. */
typedef struct {
    const void *step;
    const update *u;
    float *highest; /* velocity of each task */
} work;

static int tasks_of(const update *u) { return (int)((u->size + CHUNK - 1) / CHUNK); }

static int in_chunks(work *w, void (*task)(void *, int)) {
    return run_in_parallel(tasks_of(w->u), NANOSECONDS * (double)w->u->size, task, w);
}

static int64_t end_of(const update *u, int task) {
    int64_t end = (int64_t)(task + 1) * CHUNK;
    return end < u->size ? end : u->size;
}

static inline part part_at(const update *u, int64_t at, int64_t end) {
    __mmask16 lanes = lanes_at((int)(end - at), 0);
    return (part){at, lanes, loaded(u->gradient + at, lanes), loaded(u->weight + at, lanes)};
}

/* Random words of sixteen elements. */
static inline __m512i drawn(const update *u, const part *of, int32_t key, int32_t step) {
    __m512i words = mixed(indices(u->first + of->at, (uint32_t)key));
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

/* What a slot shall hold, as it is rounded. */
static inline __m512 keep(uint16_t *slot, const part *of, __m512 x, __m512i random) {
    x = by_chance(x, random);
    put(slot + of->at, of->lanes, x);
    return x;
}

/* An infinite step leaves no number, as without kernels. */
static inline void move_weight(const update *u, const part *of, __m512 step, __m512 decay) {
    step = _mm512_fmadd_ps(decay, of->weight, step);
    step = _mm512_add_ps(step, _mm512_sub_ps(step, step));
    put(u->moved_weight + of->at, of->lanes, _mm512_sub_ps(of->weight, step));
}

/* A quotient; 0 where the divisor is. */
static inline __m512 over(__m512 x, __m512 by) {
    __mmask16 is_some = _mm512_cmp_ps_mask(by, _mm512_setzero_ps(), _CMP_NEQ_UQ);
    return _mm512_maskz_div_ps(is_some, x, by);
}

/* The root of a mean square that moves by a share towards that of x: the old root and more,
 * since the new one alone would round away what it moves by. */
static inline __m512 moved_root(__m512 root, __m512 x, __m512 share) {
    __m512 size = _mm512_abs_ps(x);
    __m512 more = _mm512_mul_ps(
        share, _mm512_mul_ps(_mm512_sub_ps(size, root), _mm512_add_ps(size, root)));
    __m512 square = _mm512_fmadd_ps(root, root, more);
    __m512 moved = _mm512_sqrt_ps(_mm512_max_ps(_mm512_setzero_ps(), square));
    root = _mm512_add_ps(root, over(more, _mm512_add_ps(moved, root)));
    return _mm512_max_ps(_mm512_setzero_ps(), root);
}

/* ---- Adam ------------------------------------------------------------------------- */

static void adam_task(void *context, int task) {
    const work *w = context;
    const adam_step *s = w->step;
    const update *u = w->u;
    __m512 share_1 = _mm512_set1_ps(s->share_1), share_2 = _mm512_set1_ps(s->share_2);
    __m512 rate = _mm512_set1_ps(s->rate), floor = _mm512_set1_ps(s->floor);
    __m512 decay = _mm512_set1_ps(s->rate * s->decay);
    int64_t end = end_of(u, task);
    for (int64_t i = (int64_t)task * CHUNK; i < end; i += LANES) {
        part of = part_at(u, i, end);
        __m512 mean = loaded(u->slots[0] + i, of.lanes), root = loaded(u->slots[1] + i, of.lanes);
        mean = _mm512_fmadd_ps(share_1, _mm512_sub_ps(of.gradient, mean), mean);
        mean = keep(u->moved_slots[0], &of, mean, drawn(u, &of, s->key_of_mean, s->step));
        root = moved_root(root, of.gradient, share_2);
        root = keep(u->moved_slots[1], &of, root, drawn(u, &of, s->key_of_root, s->step));
        move_weight(u, &of, _mm512_mul_ps(rate, over(mean, _mm512_add_ps(root, floor))), decay);
    }
}

int adam(const adam_step *s, const update *u) {
    return in_chunks(&(work){.step = s, .u = u}, adam_task);
}

/* ---- RMSprop ---------------------------------------------------------------------- */

static void rmsprop_task(void *context, int task) {
    const work *w = context;
    const rmsprop_step *s = w->step;
    const update *u = w->u;
    __m512 share = _mm512_set1_ps(s->share), epsilon = _mm512_set1_ps(s->epsilon);
    __m512 rate = _mm512_set1_ps(s->rate), decay = _mm512_set1_ps(s->rate * s->decay);
    int64_t end = end_of(u, task);
    for (int64_t i = (int64_t)task * CHUNK; i < end; i += LANES) {
        part of = part_at(u, i, end);
        __m512 root = moved_root(loaded(u->slots[0] + i, of.lanes), of.gradient, share);
        root = keep(u->moved_slots[0], &of, root, drawn(u, &of, s->key_of_root, s->step));
        __m512 below = _mm512_sqrt_ps(_mm512_fmadd_ps(root, root, epsilon));
        move_weight(u, &of, _mm512_mul_ps(rate, over(of.gradient, below)), decay);
    }
}

int rmsprop(const rmsprop_step *s, const update *u) {
    return in_chunks(&(work){.step = s, .u = u}, rmsprop_task);
}

/* ---- stochastic gradient descent -------------------------------------------------- */

static float power_of_two(int exponent) { return ldexpf(1, exponent); }

/* Without momentum. */
static void descent_task(void *context, int task) {
    const work *w = context;
    const sgd_step *s = w->step;
    __m512 rate = _mm512_set1_ps(s->rate), decay = _mm512_set1_ps(s->rate * s->decay);
    int64_t end = end_of(w->u, task);
    for (int64_t i = (int64_t)task * CHUNK; i < end; i += LANES) {
        part of = part_at(w->u, i, end);
        move_weight(w->u, &of, _mm512_mul_ps(rate, of.gradient), decay);
    }
}

/* The velocity after a step. */
static inline __m512 moved_velocity(const work *w, const part *of, __m512 momentum, __m512 rate) {
    __m512 velocity = loaded(w->u->slots[0] + of->at, of->lanes);
    return _mm512_fmadd_ps(momentum, velocity, _mm512_mul_ps(rate, of->gradient));
}

/* The largest velocity of a task; what is no number does not count. */
static void highest_task(void *context, int task) {
    const work *w = context;
    const sgd_step *s = w->step;
    __m512 momentum = _mm512_set1_ps(s->momentum * power_of_two(w->u->power));
    __m512 rate = _mm512_set1_ps(s->rate), highest = _mm512_setzero_ps();
    int64_t end = end_of(w->u, task);
    for (int64_t i = (int64_t)task * CHUNK; i < end; i += LANES) {
        part of = part_at(w->u, i, end);
        highest = _mm512_max_ps(_mm512_abs_ps(moved_velocity(w, &of, momentum, rate)), highest);
    }
    w->highest[task] = _mm512_reduce_max_ps(highest);
}

static void momentum_task(void *context, int task) {
    const work *w = context;
    const sgd_step *s = w->step;
    __m512 momentum = _mm512_set1_ps(s->momentum * power_of_two(w->u->power));
    __m512 again = _mm512_set1_ps(s->momentum);
    __m512 scale = _mm512_set1_ps(power_of_two(-*w->u->moved_power));
    __m512 rate = _mm512_set1_ps(s->rate), decay = _mm512_set1_ps(s->rate * s->decay);
    int64_t end = end_of(w->u, task);
    for (int64_t i = (int64_t)task * CHUNK; i < end; i += LANES) {
        part of = part_at(w->u, i, end);
        __m512 velocity = moved_velocity(w, &of, momentum, rate), step = velocity;
        keep(w->u->moved_slots[0], &of, _mm512_mul_ps(velocity, scale),
             drawn(w->u, &of, s->key, s->step));
        if (s->is_nesterov)
            step = _mm512_fmadd_ps(again, velocity, _mm512_mul_ps(rate, of.gradient));
        move_weight(w->u, &of, step, decay);
    }
}

/* The power that the largest number is divided by to come to the highest place. */
static int power_for(const float *highest, int count) {
    float most = 0;
    for (int i = 0; i < count; i++) most = highest[i] > most ? highest[i] : most;
    int power = (most > 0 && most < INFINITY ? ilogbf(most) : 0) - HIGHEST_PLACE;
    return power > LEAST_POWER ? power : LEAST_POWER;
}

int sgd(const sgd_step *s, const update *u) {
    work w = {.step = s, .u = u};
    if (!u->slots[0]) return in_chunks(&w, descent_task);
    w.highest = calloc((size_t)tasks_of(u) + 1, sizeof(float));
    if (!w.highest) return 0;
    int done = in_chunks(&w, highest_task);
    *u->moved_power = power_for(w.highest, tasks_of(u));
    done = done && in_chunks(&w, momentum_task);
    free(w.highest);
    return done;
}
