/* Products of matrices, each as a convolution of its rows with a window of one place. */
#include "convolutions.h"
#include "threads.h"

enum {
    PICOSECONDS = 10, /* of a product of two numbers */
    SMALL = 1 << 21,  /* products of numbers; laying out tiles of fewer doesn't pay */
};

typedef int (*kernel)(const convolution *, const uint16_t *, const uint16_t *, uint16_t *);

typedef struct {
    const factors *of;
    kernel run;
    const uint16_t *x, *y;
    uint16_t *to;
    int64_t of_x, of_y, of_to; /* numbers from one matrix to the next */
} product_work;

static void product_task(void *context, int i) {
    const product_work *w = context;
    const factors *f = w->of;
    convolution c = {
        .images = f->rows, .height = 1, .width = 1, .channels = f->inputs,
        .window_height = 1, .window_width = 1, .out_channels = f->outputs,
        .out_height = 1, .out_width = 1, .stride_rows = 1, .stride_columns = 1,
        .tap_rows = 1, .tap_columns = 1,
    };
    if (!w->run(&c, w->x + i * w->of_x, w->y + i * w->of_y, w->to + i * w->of_to))
        out_of_memory();
}

static kernel either(const factors *f, kernel by_vectors, kernel by_any) {
    return (int64_t)f->rows * f->inputs * f->outputs < SMALL ? by_vectors : by_any;
}

static int run(const factors *f, product_work w) {
    return run_in_parallel(f->count,
                           1e-3 * PICOSECONDS * f->count * f->rows * f->inputs * f->outputs,
                           product_task, &w);
}

int products(const factors *f, const uint16_t *a, const uint16_t *b, uint16_t *c) {
    int64_t m = f->rows, k = f->inputs, n = f->outputs;
    kernel by = either(f, vector_convolve, convolve);
    return run(f, (product_work){f, by, a, b, c, m * k, k * n, m * n});
}

int products_of_rows(const factors *f, const uint16_t *c, const uint16_t *b, uint16_t *a) {
    int64_t m = f->rows, k = f->inputs, n = f->outputs;
    kernel by = either(f, vector_convolve_back, convolve_back);
    return run(f, (product_work){f, by, c, b, a, m * n, k * n, m * k});
}

int products_of_columns(const factors *f, const uint16_t *a, const uint16_t *c, uint16_t *b) {
    int64_t m = f->rows, k = f->inputs, n = f->outputs;
    kernel by = either(f, vector_kernel_gradient, kernel_gradient);
    return run(f, (product_work){f, by, a, c, b, m * k, m * n, k * n});
}
