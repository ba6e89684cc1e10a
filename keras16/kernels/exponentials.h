/* Exponentials of differences, in registers. */
#ifndef KERAS16_EXPONENTIALS_H
#define KERAS16_EXPONENTIALS_H

#include "vectors.h"

/* x times two to a whole power: together they may be of any size. */
typedef struct {
    __m512 x, power;
} scaled_lanes;

/* e**gap to 2**-22, x being about 1; NaN of NaN. */
static inline scaled_lanes exponential_of(__m512 gap) {
    const __m512 log2_e = _mm512_set1_ps(0x1.715476p0f), ln_2 = _mm512_set1_ps(0x1.62e43p-1f);
    const __m512 one = _mm512_set1_ps(1);
    __m512 power = _mm512_roundscale_ps(_mm512_mul_ps(gap, log2_e), _MM_FROUND_TO_NEAREST_INT);
    __m512 rest = _mm512_fnmadd_ps(power, ln_2, gap); /* at most ln(2) / 2 either way */
    /* The polynomial whose largest relative error there is smallest. */
    __m512 y = _mm512_set1_ps(0x1.1062d8p-7f);
    y = _mm512_fmadd_ps(y, rest, _mm512_set1_ps(0x1.572a1ap-5f));
    y = _mm512_fmadd_ps(y, rest, _mm512_set1_ps(0x1.5557aep-3f));
    y = _mm512_fmadd_ps(y, rest, _mm512_set1_ps(0x1.fffdfcp-2f));
    y = _mm512_fmadd_ps(y, rest, one);
    y = _mm512_fmadd_ps(y, rest, one);
    return (scaled_lanes){y, power};
}

#endif
