/* Exponentials of differences, in registers. */
#ifndef KERAS16_EXPONENTIALS_H
#define KERAS16_EXPONENTIALS_H

#include "vectors.h"

/* x times two to a whole power: together they may be of any size. */
typedef struct {
    numbers x, power;
} scaled_lanes;

/* e**gap to 2**-22, x being about 1; NaN of NaN. */
static inline scaled_lanes exponential_of(numbers gap) {
    const numbers log2_e = n_all(0x1.715476p0f), ln_2 = n_all(0x1.62e43p-1f);
    const numbers one = n_all(1);
    numbers power = n_whole(n_mul(gap, log2_e));
    numbers rest = n_fnma(power, ln_2, gap); /* at most ln(2) / 2 either way */
    /* The polynomial whose largest relative error there is smallest. */
    numbers y = n_all(0x1.1062d8p-7f);
    y = n_fma(y, rest, n_all(0x1.572a1ap-5f));
    y = n_fma(y, rest, n_all(0x1.5557aep-3f));
    y = n_fma(y, rest, n_all(0x1.fffdfcp-2f));
    y = n_fma(y, rest, one);
    y = n_fma(y, rest, one);
    return (scaled_lanes){y, power};
}

#endif
