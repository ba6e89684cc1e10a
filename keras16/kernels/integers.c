/* What a step computes of whole numbers, each in one operation rather than in hundreds:
 * exact sums (numerics/accumulators.py) and functions of the step (numerics/tables.py).
 */
#include "kernels.h"

enum {
    DIGITS = 7,
    DIGIT_BITS = 14,
    DIGIT_MASK = (1 << DIGIT_BITS) - 1,
    MANTISSA = 10, /* of a float16; its lowest unit is 2**-24, as a sum's is */
    SPECIAL = 31,  /* exponent of infinity and NaN */
    LIMIT = 61,    /* places from which a number is too large for the digits */
    FINE_BITS = 6, /* of the place between two entries of a table */
};

typedef __int128 whole;

/* A float16 x 2**exponent in units of 2**-24, towards 0; 0 and one more bad number where
 * there is no such whole number. */
static whole units_of(uint16_t x, int64_t exponent, int64_t *bad) {
    int field = x >> MANTISSA & 0x1f;
    whole units = (x & ((1 << MANTISSA) - 1)) | (field ? 1 << MANTISSA : 0);
    int64_t shift = (field ? field - 1 : 0) + exponent;
    if (field == SPECIAL || shift >= LIMIT) {
        ++*bad;
        return 0;
    }
    units = shift >= 0 ? units << shift : shift > -32 ? units >> -shift : 0;
    return x & 0x8000 ? -units : units;
}

void accumulate(const int32_t *words, const uint16_t *x, int64_t size, const int32_t *exponents,
                int32_t count, int32_t *to) {
    whole sum = 0, held = 0;
    int64_t bad = 0;
    for (int64_t i = 0; i < size; i++) sum += units_of(x[i], exponents ? exponents[i] : 0, &bad);
    for (int i = DIGITS - 1; i >= 0; i--) held = held * (1 << DIGIT_BITS) + words[i];
    held += sum * count;
    for (int i = 0; i < DIGITS - 1; i++, held >>= DIGIT_BITS)
        to[i] = (int32_t)(held & DIGIT_MASK);
    to[DIGITS - 1] = (int32_t)held;
    /* One at most, so that it never wraps around. */
    to[DIGITS] = words[DIGITS] + (bad > 0 && count > 0);
}

static int bit_length(int64_t x) { return x > 0 ? 64 - __builtin_clzll((uint64_t)x) : 0; }

int32_t entry_at(const int32_t *words, int64_t size, int64_t step, int64_t exact,
                 int64_t octave) {
    int64_t last = size - 1;
    if (step < 0) step = 0;
    if (last < exact) return words[step < last ? step : last];
    int width = 0;
    int64_t place = step;
    if (step >= exact) {
        width = bit_length(step) - bit_length(octave);
        width = width > 0 ? width : 0;
        int doublings = width - (bit_length(exact) - bit_length(octave));
        place = exact + (doublings > 0 ? doublings : 0) * octave + (step >> width) - octave;
    }
    int64_t low = words[place < last ? place : last];
    int64_t high = words[place + 1 < last ? place + 1 : last];
    int64_t part = step & (((int64_t)1 << width) - 1);
    part = width > FINE_BITS ? part >> (width - FINE_BITS) : part << (FINE_BITS - width);
    return (int32_t)(low + part * ((high - low) >> FINE_BITS));
}
