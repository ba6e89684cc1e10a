/* Which numbers of a line a window holds, and which windows hold a number. */
#ifndef KERAS16_WINDOWS_H
#define KERAS16_WINDOWS_H

typedef struct {
    int first, last; /* the one behind the last */
} span;

static inline span within(int first, int last, int length) {
    return (span){first > 0 ? first : 0, last < length ? last : length};
}

/* Windows along an axis of an image; `before` of the first one's places lie outside. */
typedef struct {
    int size, windows, window, stride, before;
} axis;

static inline span places_of(const axis *a, int window) {
    int first = window * a->stride - a->before;
    return within(first, first + a->window, a->size);
}

static inline span windows_with(const axis *a, int place) {
    int at = place + a->before, past = at - a->window;
    return within(past < 0 ? 0 : past / a->stride + 1, at / a->stride + 1, a->windows);
}

#endif
