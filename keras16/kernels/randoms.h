/* Random words by counting: the same for an index and a key, whoever draws them. */
#ifndef KERAS16_RANDOMS_H
#define KERAS16_RANDOMS_H

#include "vectors.h"

static const uint32_t GOLDEN = 0x9e3779b9, FIRST = 0x85ebca6b, SECOND = 0xc2b2ae35;

static inline __m512i folded(__m512i words, int shift) {
    return _mm512_xor_si512(words, _mm512_srli_epi32(words, (unsigned)shift));
}

static inline __m512i times(__m512i words, uint32_t by) {
    return _mm512_mullo_epi32(words, _mm512_set1_epi32((int)by));
}

/* Sixteen neighbouring indices, spread over all words from a key on. */
static inline __m512i indices(int64_t first, uint32_t key) {
    __m512i index = _mm512_add_epi32(
        _mm512_set1_epi32((int)first),
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    return _mm512_add_epi32(times(index, GOLDEN), _mm512_set1_epi32((int)key));
}

static inline __m512i mixed(__m512i words) {
    return folded(times(folded(times(folded(words, 16), FIRST), 13), SECOND), 16);
}

#endif
