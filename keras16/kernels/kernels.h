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

/* Whether this CPU has what the kernels need, and the system lets this process use it. */
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

/* Sums over the rows, divided by a whole number; [channels] each. */
int row_sums(const matrix *m, int64_t over, uint16_t *sums);
/* Sums of each row, likewise; [rows]. */
int sums_of_rows(const matrix *m, int64_t over, uint16_t *sums);
/* The largest and smallest of each row. */
int extremes_of_rows(const matrix *m, uint16_t *highest, uint16_t *lowest);
/* Over the rows, and the largest and smallest of each column. */
int sums_and_extremes(const matrix *m, int64_t over, uint16_t *sums, uint16_t *highest,
                      uint16_t *lowest);
/* x slope + offset, rounded; sums of that and of its squares. */
int line_and_sums(const matrix *m, const uint16_t *slope, const uint16_t *offset, int64_t over,
                  uint16_t *line, uint16_t *sums, uint16_t *squares);
/* Sums of x and of x times another matrix. */
int sums_with(const matrix *m, const uint16_t *other, int64_t over, uint16_t *sums,
              uint16_t *products);

/* One step of Adam's. Shares: what the averages move by; decay: decoupled, of the weight;
 * keys and step: what random words are drawn by. */
typedef struct {
    float rate, share_1, share_2, floor, decay;
    int32_t key_of_mean, key_of_root, step;
} adam_step;

/* Of a variable: [size] each, the second moment as its root. */
typedef struct {
    uint16_t *weight, *mean, *root;
} adam_state;

/* Moves a state; old and new may be the same memory. */
int adam(const adam_step *s, const uint16_t *gradient, adam_state from, adam_state to,
         int64_t size);

#endif
