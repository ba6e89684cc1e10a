/* Rectified linear units, by comparing the bits of float16 numbers as whole numbers. */
#include "kernels.h"

#include "threads.h"
#include "vectors.h"

enum { CHUNK = 1 << 15 /* elements of a task */ };

typedef struct {
    const uint16_t *x, *slopes;
    uint16_t *to;
    int64_t size;
    uint16_t most;
} rectifier;

static inline int64_t end_of(const rectifier *w, int task) {
    int64_t end = ((int64_t)task + 1) * CHUNK;
    return end < w->size ? end : w->size;
}

static void value_task(void *context, int task) {
    const rectifier *w = context;
    const __m512i infinity = _mm512_set1_epi16(0x7c00), most = _mm512_set1_epi16((short)w->most);
    const __m512i sign = _mm512_set1_epi16((short)0x8000);
    for (int64_t i = (int64_t)task * CHUNK, end = end_of(w, task); i < end; i += WORDS) {
        __mmask32 words = words_at(end - i);
        __m512i x = _mm512_maskz_loadu_epi16(words, w->x + i);
        __mmask32 is_nan = _mm512_cmpgt_epi16_mask(_mm512_andnot_si512(sign, x), infinity);
        __m512i y = _mm512_max_epi16(x, _mm512_setzero_si512());
        y = _mm512_min_epi16(y, most);
        _mm512_mask_storeu_epi16(w->to + i, words, _mm512_mask_mov_epi16(y, is_nan, x));
    }
}

static void slope_task(void *context, int task) {
    const rectifier *w = context;
    const __m512i most = _mm512_set1_epi16((short)w->most);
    for (int64_t i = (int64_t)task * CHUNK, end = end_of(w, task); i < end; i += WORDS) {
        __mmask32 words = words_at(end - i);
        __m512i y = _mm512_maskz_loadu_epi16(words, w->x + i);
        __mmask32 passes = _mm512_cmpgt_epi16_mask(y, _mm512_setzero_si512()) &
                           _mm512_cmplt_epi16_mask(y, most);
        __m512i slopes = _mm512_maskz_loadu_epi16(words & passes, w->slopes + i);
        _mm512_mask_storeu_epi16(w->to + i, words, slopes);
    }
}

static int run(rectifier w, void (*task)(void *, int)) {
    const double of_number = 0.2; /* nanoseconds */
    return run_in_parallel((int)((w.size + CHUNK - 1) / CHUNK), of_number * (double)w.size, task,
                           &w);
}

int rectify(const uint16_t *x, int64_t size, uint16_t most, uint16_t *y) {
    return run((rectifier){.x = x, .to = y, .size = size, .most = most}, value_task);
}

int rectify_back(const uint16_t *slopes, const uint16_t *y, int64_t size, uint16_t most,
                 uint16_t *x) {
    return run((rectifier){.x = y, .slopes = slopes, .to = x, .size = size, .most = most},
               slope_task);
}
