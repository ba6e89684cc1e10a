/* Random words by counting: the same for an index and a key, whoever draws them. */
#ifndef KERAS16_RANDOMS_H
#define KERAS16_RANDOMS_H

#include "vectors.h"

static const uint32_t GOLDEN = 0x9e3779b9, FIRST = 0x85ebca6b, SECOND = 0xc2b2ae35;

static inline integers folded(integers words, int shift) {
    return i_xor(words, i_shifted(words, shift));
}

static inline integers times(integers words, uint32_t by) {
    return i_mul(words, i_all((int)by));
}

/* Neighbouring indices, spread over all words from a key on. */
static inline integers indices(int64_t first, uint32_t key) {
    integers index = i_add(i_all((int)first), i_counted());
    return i_add(times(index, GOLDEN), i_all((int)key));
}

static inline integers mixed(integers words) {
    return folded(times(folded(times(folded(words, 16), FIRST), 13), SECOND), 16);
}

#endif
