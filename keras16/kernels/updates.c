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

/* Elements of a variable, one a lane. */
typedef struct {
    int64_t at;
    filled lanes;
    numbers gradient, weight;
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
    filled lanes = lanes_at((int)(end - at), 0);
    return (part){at, lanes, loaded(u->gradient + at, lanes), loaded(u->weight + at, lanes)};
}

/* Random words of these elements. */
static inline integers drawn(const update *u, const part *of, int32_t key, int32_t step) {
    integers words = mixed(indices(u->first + of->at, (uint32_t)key));
    return i_add(words, i_all((int)((uint32_t)step * GOLDEN)));
}

/* One of the two float16 beside a number, by a chance that makes it right on average: what
 * is left of the number and a random share of a last place, cut off to whole ones. */
static inline numbers by_chance(numbers x, integers random) {
    numbers size = n_abs(x);
    /* The power of two below it; all subnormal numbers have the same last place, and none
     * has a greater one than the first that are infinite. */
    integers power = i_and(n_integers(size), i_all(0x7f800000));
    power = i_max(power, i_all(SMALLEST << EXPONENT));
    power = i_min(power, i_all(INFINITE << EXPONENT));
    numbers place = i_numbers(i_sub(power, i_all(MANTISSA << EXPONENT)));
    numbers sum = n_cut(size, n_share(random), place);
    sum = n_where(n_compare(sum, n_all(65536), _CMP_GE_OQ), n_all(INFINITY), sum);
    return n_with_sign(sum, x);
}

/* What a slot shall hold, as it is rounded. */
static inline numbers keep(uint16_t *slot, const part *of, numbers x, integers random) {
    x = by_chance(x, random);
    put(slot + of->at, of->lanes, x);
    return x;
}

/* An infinite step leaves no number, as without kernels. */
static inline void move_weight(const update *u, const part *of, numbers step, numbers decay) {
    step = n_fma(decay, of->weight, step);
    step = n_add(step, n_sub(step, step));
    put(u->moved_weight + of->at, of->lanes, n_sub(of->weight, step));
}

/* A quotient; 0 where the divisor is. */
static inline numbers over(numbers x, numbers by) {
    return n_where_or_0(n_compare(by, n_zero(), _CMP_NEQ_UQ), n_div(x, by));
}

/* The root of a mean square that moves by a share towards that of x: the old root and more,
 * since the new one alone would round away what it moves by. */
static inline numbers moved_root(numbers root, numbers x, numbers share) {
    numbers size = n_abs(x);
    numbers more = n_mul(share, n_mul(n_sub(size, root), n_add(size, root)));
    numbers square = n_fma(root, root, more);
    numbers moved = n_sqrt(n_max(n_zero(), square));
    root = n_add(root, over(more, n_add(moved, root)));
    return n_max(n_zero(), root);
}

/* ---- Adam ------------------------------------------------------------------------- */

static void adam_task(void *context, int task) {
    const work *w = context;
    const adam_step *s = w->step;
    const update *u = w->u;
    numbers share_1 = n_all(s->share_1), share_2 = n_all(s->share_2);
    numbers rate = n_all(s->rate), floor = n_all(s->floor);
    numbers decay = n_all(s->rate * s->decay);
    int64_t end = end_of(u, task);
    for (int64_t i = (int64_t)task * CHUNK; i < end; i += LANES) {
        part of = part_at(u, i, end);
        numbers mean = loaded(u->slots[0] + i, of.lanes), root = loaded(u->slots[1] + i, of.lanes);
        mean = n_fma(share_1, n_sub(of.gradient, mean), mean);
        mean = keep(u->moved_slots[0], &of, mean, drawn(u, &of, s->key_of_mean, s->step));
        root = moved_root(root, of.gradient, share_2);
        root = keep(u->moved_slots[1], &of, root, drawn(u, &of, s->key_of_root, s->step));
        move_weight(u, &of, n_mul(rate, over(mean, n_add(root, floor))), decay);
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
    numbers share = n_all(s->share), epsilon = n_all(s->epsilon);
    numbers rate = n_all(s->rate), decay = n_all(s->rate * s->decay);
    int64_t end = end_of(u, task);
    for (int64_t i = (int64_t)task * CHUNK; i < end; i += LANES) {
        part of = part_at(u, i, end);
        numbers root = moved_root(loaded(u->slots[0] + i, of.lanes), of.gradient, share);
        root = keep(u->moved_slots[0], &of, root, drawn(u, &of, s->key_of_root, s->step));
        numbers below = n_sqrt(n_fma(root, root, epsilon));
        move_weight(u, &of, n_mul(rate, over(of.gradient, below)), decay);
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
    numbers rate = n_all(s->rate), decay = n_all(s->rate * s->decay);
    int64_t end = end_of(w->u, task);
    for (int64_t i = (int64_t)task * CHUNK; i < end; i += LANES) {
        part of = part_at(w->u, i, end);
        move_weight(w->u, &of, n_mul(rate, of.gradient), decay);
    }
}

/* The velocity after a step. */
static inline numbers moved_velocity(const work *w, const part *of, numbers momentum,
                                     numbers rate) {
    numbers velocity = loaded(w->u->slots[0] + of->at, of->lanes);
    return n_fma(momentum, velocity, n_mul(rate, of->gradient));
}

/* The largest velocity of a task; what is no number does not count. */
static void highest_task(void *context, int task) {
    const work *w = context;
    const sgd_step *s = w->step;
    numbers momentum = n_all(s->momentum * power_of_two(w->u->power));
    numbers rate = n_all(s->rate), highest = n_zero();
    int64_t end = end_of(w->u, task);
    for (int64_t i = (int64_t)task * CHUNK; i < end; i += LANES) {
        part of = part_at(w->u, i, end);
        highest = n_max(n_abs(moved_velocity(w, &of, momentum, rate)), highest);
    }
    w->highest[task] = n_highest(highest);
}

static void momentum_task(void *context, int task) {
    const work *w = context;
    const sgd_step *s = w->step;
    numbers momentum = n_all(s->momentum * power_of_two(w->u->power));
    numbers again = n_all(s->momentum);
    numbers scale = n_all(power_of_two(-*w->u->moved_power));
    numbers rate = n_all(s->rate), decay = n_all(s->rate * s->decay);
    int64_t end = end_of(w->u, task);
    for (int64_t i = (int64_t)task * CHUNK; i < end; i += LANES) {
        part of = part_at(w->u, i, end);
        numbers velocity = moved_velocity(w, &of, momentum, rate), step = velocity;
        keep(w->u->moved_slots[0], &of, n_mul(velocity, scale),
             drawn(w->u, &of, s->key, s->step));
        if (s->is_nesterov)
            step = n_fma(again, velocity, n_mul(rate, of.gradient));
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
