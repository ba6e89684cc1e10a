/* What the kernels compute, apart from who calls them. */
#ifndef KERAS16_KERNELS_H
#define KERAS16_KERNELS_H

#include <stdint.h>

/* A convolution of images, [images, height, width, channels], with a kernel,
 * [window height, window width, channels, out channels], all of float16. */
typedef struct {
    int images, height, width, channels;
    int window_height, window_width, out_channels;
    int out_height, out_width;
    int stride_rows, stride_columns;
    int tap_rows, tap_columns; /* dilation: from one tap of the window to the next */
    int top, left;             /* zeros before the first line and column */
} convolution;

/* A float16 matrix, [rows, channels]. */
typedef struct {
    const uint16_t *x;
    int64_t rows;
    int channels;
} matrix;

/* Whether this CPU has the vectors that this library is compiled for (vectors.h): AVX-512,
 * with its instructions of bytes, short vectors and 64-bit integers; or AVX2, with those
 * that convert float16 and those that multiply and add at once. */
int has_vectors(void);
/* Whether it multiplies tiles of bfloat16, too, and the system lets this process do so;
 * not where KERAS16_KERNELS is "vectors" in the environment. */
int has_matrix_unit(void);

/* Each gives 1, or 0 where there was no memory for it. */
int convolve(const convolution *c, const uint16_t *x, const uint16_t *kernel, uint16_t *y);
int convolve_back(const convolution *c, const uint16_t *slopes, const uint16_t *kernel,
                  uint16_t *x);
int kernel_gradient(const convolution *c, const uint16_t *x, const uint16_t *slopes,
                    uint16_t *kernel);

/* The same channel by channel: the kernel is [window height, window width, channels, 1]. */
int depthwise(const convolution *c, const uint16_t *x, const uint16_t *kernel, uint16_t *y);
int depthwise_back(const convolution *c, const uint16_t *slopes, const uint16_t *kernel,
                   uint16_t *x);
int depthwise_kernel_gradient(const convolution *c, const uint16_t *x, const uint16_t *slopes,
                              uint16_t *kernel);

/* Means of windows, without dilation, over the places that lie in the image; and of their
 * slopes the images'. */
int window_means(const convolution *c, const uint16_t *x, uint16_t *y);
int window_means_back(const convolution *c, const uint16_t *slopes, uint16_t *x);

/* What some numbers, `of`, are at the first maximum of each window over x; where they are
 * x, its maxima. Places before and behind an image don't count, the first NaN does as a
 * maximum. Each window holds a place of its image, and MOST_PLACES at most; taps are 1. */
enum { MOST_PLACES = 1 << 16 };
int maxima(const convolution *c, const uint16_t *x, const uint16_t *of, uint16_t *y);
/* The transpose of that: slopes, added up where they come to the same number of x. */
int maxima_back(const convolution *c, const uint16_t *x, const uint16_t *slopes,
                uint16_t *of_x);

/* Pairs of matrices: a is [count, rows, inputs], b [count, inputs, outputs], and their
 * products c are [count, rows, outputs]. */
typedef struct {
    int count, rows, inputs, outputs;
} factors;

int products(const factors *f, const uint16_t *a, const uint16_t *b, uint16_t *c);
/* c times b, transposed. */
int products_of_rows(const factors *f, const uint16_t *c, const uint16_t *b, uint16_t *a);
/* a, transposed, times c. */
int products_of_columns(const factors *f, const uint16_t *a, const uint16_t *c, uint16_t *b);

/* Sums over the rows, divided by a whole number; [channels] each. */
int row_sums(const matrix *m, int64_t over, uint16_t *sums);
/* The same of so many matrices of a shape, one behind the other; [count, channels]. */
int row_sums_of_each(const matrix *m, int count, int64_t over, uint16_t *sums);
/* Sums of each row, likewise; [rows]. */
int sums_of_rows(const matrix *m, int64_t over, uint16_t *sums);
/* The largest and smallest of each row. */
int extremes_of_rows(const matrix *m, uint16_t *highest, uint16_t *lowest);

/* What batch normalization finds out about each column of a matrix, [channels] each. */
typedef struct {
    uint16_t *mean, *beyond; /* rounded, and what that left out */
    uint16_t *deviation;     /* the root of the variance */
    uint16_t *power;         /* of two: it brings the root of variance + epsilon to about 1 */
    uint16_t *inverse;       /* 1 over that root x power; 1 where it is 0 */
    uint16_t *center;        /* what rounding left out of the mean, x power */
} column_statistics;

/* (x - mean) / sqrt(variance + epsilon) gamma + beta, and the statistics. */
int normalize(const matrix *m, const uint16_t *gamma, const uint16_t *beta, float epsilon,
              column_statistics to, uint16_t *y);
/* The gradients of x, gamma and beta; of the statistics all but beyond and deviation.
 * That of x may lie where the slopes do. */
int normalize_back(const matrix *m, const uint16_t *slopes, const uint16_t *gamma,
                   column_statistics of, uint16_t *of_x, uint16_t *of_gamma,
                   uint16_t *of_beta);

/* A moving average: float16, and what they leave out in units of 2**-15 of their last
 * place. */
typedef struct {
    uint16_t *average;
    int16_t *fraction;
} kept_average;

/* Moves both averages by a share of the way to the statistics of a batch: that of the mean
 * and, by its square, that of the deviation. Old and new may be the same memory. */
void move_statistics(int channels, kept_average mean, kept_average deviation,
                     column_statistics towards, float share, kept_average moved_mean,
                     kept_average moved_deviation);

/* max(x, 0), no more than `most`; NaN stays NaN. Here and below the results may lie where
 * the first numbers do. */
int rectify(const uint16_t *x, int64_t size, uint16_t most, uint16_t *y);
/* Its gradient: the slopes where 0 < y < most, else 0. */
int rectify_back(const uint16_t *slopes, const uint16_t *y, int64_t size, uint16_t most,
                 uint16_t *x);

/* What is dropped: numbers whose random word is below `least`; the others are times the
 * scale. */
typedef struct {
    uint32_t key[2], least;
    float scale;
} drop;

int dropped(const drop *d, const uint16_t *x, int64_t size, uint16_t *y);

/* Exponentials of each row over their sum; of a row of -inf alone 0. */
int softmax(const matrix *m, uint16_t *y);
/* Its gradient, from the same rows: exponentials that y has rounded to 0 count. */
int softmax_back(const matrix *m, const uint16_t *slopes, uint16_t *x);

/* Numbers x 2**exponent: 1 <= |x| < 2, or x is 0 (the exponent is -4096), infinite or NaN
 * (it is 0). */
typedef struct {
    uint16_t *x;
    int32_t *exponent;
} scaled_numbers;

/* Softmax cross-entropies of logits, for the id of one class a row; NaN where there is no
 * such class. */
int cross_entropies(const matrix *logits, const int32_t *ids, scaled_numbers losses);
/* The gradient of the logits from that of the losses, slopes 2**exponents; the largest
 * number in place of infinity. */
int cross_entropies_back(const matrix *logits, const int32_t *ids, const uint16_t *slopes,
                         const int32_t *exponents, uint16_t *of_logits);

/* An exact sum in units of 2**-24: seven digits of 14 bits, the last one signed, and how
 * many of what was added was no number. Adds `count` times the sum of x, each times 2 to
 * its exponent; NULL for exponents of 0. */
void accumulate(const int32_t *words, const uint16_t *x, int64_t size, const int32_t *exponents,
                int32_t count, int32_t *to);

/* What a table says of a step: entries of the steps below `exact`, then so many for each
 * octave, with straight lines between them. Both are powers of two. */
int32_t entry_at(const int32_t *words, int64_t size, int64_t step, int64_t exact,
                 int64_t octave);

/* A variable, its gradient and its slots, [size] each. What moves may lie where it did.
 * Random words are drawn as for the elements of a vector from the number `first` on. */
typedef struct {
    int64_t size, first;
    const uint16_t *gradient, *weight, *slots[2];
    uint16_t *moved_weight, *moved_slots[2];
    int32_t power, *moved_power; /* of two: what a velocity is kept over */
} update;

/* One step of each kind, in words of 32 bits. Rates are the learning rate; decay:
 * decoupled, of the weight; keys and step: what random words are drawn by. */

/* Shares: what the averages move by. Slots: the mean, and the root of the mean square. */
typedef struct {
    float rate, share_1, share_2, floor, decay;
    int32_t key_of_mean, key_of_root, step;
} adam_step;

int adam(const adam_step *s, const update *u);

/* Epsilon stands below the root. Slot: the root of the mean square. */
typedef struct {
    float rate, share, epsilon, decay;
    int32_t key_of_root, step;
} rmsprop_step;

int rmsprop(const rmsprop_step *s, const update *u);

/* Slot: the velocity, times 2**-power; NULL without momentum, as is the power then. */
typedef struct {
    float rate, momentum, decay;
    int32_t is_nesterov, key, step;
} sgd_step;

int sgd(const sgd_step *s, const update *u);

#endif
