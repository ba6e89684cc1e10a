/* The kernels as operations of TensorFlow's, by its C interface.
 *
 * Nothing of TensorFlow is needed to compile this file: the functions of its interface
 * are looked up in the library that this process has loaded.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels.h"

enum { HALF = 19, INT16 = 5, INT32 = 3, INT64 = 9, INVALID_ARGUMENT = 3, RESOURCE_EXHAUSTED = 8 };

/* name, result, arguments */
#define INTERFACE(F)                                                                      \
    F(TF_NewStatus, void *, (void))                                                       \
    F(TF_DeleteStatus, void, (void *))                                                    \
    F(TF_SetStatus, void, (void *, int, const char *))                                    \
    F(TF_GetCode, int, (const void *))                                                    \
    F(TF_NewOpDefinitionBuilder, void *, (const char *))                                  \
    F(TF_OpDefinitionBuilderAddInput, void, (void *, const char *))                       \
    F(TF_OpDefinitionBuilderAddOutput, void, (void *, const char *))                      \
    F(TF_OpDefinitionBuilderAddAttr, void, (void *, const char *))                        \
    F(TF_OpDefinitionBuilderSetShapeInferenceFunction, void,                              \
      (void *, void (*)(void *, void *)))                                                 \
    F(TF_ShapeInferenceContextSetUnknownShape, void, (void *, void *))                    \
    F(TF_RegisterOpDefinition, void, (void *, void *))                                    \
    F(TF_NewKernelBuilder, void *,                                                        \
      (const char *, const char *, void *(*)(void *), void (*)(void *, void *),           \
       void (*)(void *)))                                                                 \
    F(TF_RegisterKernelBuilder, void, (const char *, void *, void *))                     \
    F(TF_OpKernelContext_Failure, void, (void *, void *))                                 \
    F(TF_NumInputs, int, (void *))                                                        \
    F(TF_GetInput, void, (void *, int, void **, void *))                                  \
    F(TF_AllocateOutput, void *, (void *, int, int, const int64_t *, int, size_t, void *)) \
    F(TF_ForwardInputOrAllocateOutput, void *,                                            \
      (void *, const int *, int, int, const int64_t *, int, int *, void *))               \
    F(TF_DeleteTensor, void, (void *))                                                    \
    F(TF_TensorType, int, (const void *))                                                 \
    F(TF_NumDims, int, (const void *))                                                    \
    F(TF_Dim, int64_t, (const void *, int))                                               \
    F(TF_TensorData, void *, (const void *))

#define DECLARED(name, result, arguments) static result(*name) arguments;
INTERFACE(DECLARED)

/* The third input of each operation: all lengths but the number of images and channels.
 * It is the same for a convolution and its gradients. */
enum {
    STRIDES = 0,
    TAPS = 2,
    BEFORE = 4,
    IMAGE = 6,
    OUTPUTS = 8,
    WINDOW = 10,
    NUMBERS = 12,
};

static int read_geometry(void *tensor, convolution *c) {
    if (TF_TensorType(tensor) != INT64 || TF_NumDims(tensor) != 1 ||
        TF_Dim(tensor, 0) != NUMBERS)
        return 0;
    const int64_t *of = TF_TensorData(tensor);
    for (int i = 0; i < NUMBERS; i++)
        if (of[i] > INT32_MAX || of[i] < INT32_MIN) return 0;
    c->stride_rows = (int)of[STRIDES], c->stride_columns = (int)of[STRIDES + 1];
    c->tap_rows = (int)of[TAPS], c->tap_columns = (int)of[TAPS + 1];
    c->top = (int)of[BEFORE], c->left = (int)of[BEFORE + 1];
    c->height = (int)of[IMAGE], c->width = (int)of[IMAGE + 1];
    c->out_height = (int)of[OUTPUTS], c->out_width = (int)of[OUTPUTS + 1];
    c->window_height = (int)of[WINDOW], c->window_width = (int)of[WINDOW + 1];
    return c->stride_rows > 0 && c->stride_columns > 0 && c->tap_rows > 0 &&
           c->tap_columns > 0 && c->window_height > 0 && c->window_width > 0 &&
           c->height >= 0 && c->width >= 0 && c->out_height >= 0 && c->out_width >= 0;
}

static int is_of(void *tensor, int64_t a, int64_t b, int64_t c, int64_t d) {
    return TF_NumDims(tensor) == 4 && TF_Dim(tensor, 0) == a && TF_Dim(tensor, 1) == b &&
           TF_Dim(tensor, 2) == c && TF_Dim(tensor, 3) == d;
}

static void set_shape(int64_t *shape, int64_t a, int64_t b, int64_t c, int64_t d) {
    shape[0] = a, shape[1] = b, shape[2] = c, shape[3] = d;
}

typedef int (*kernel)(const convolution *, const uint16_t *, const uint16_t *, uint16_t *);
/* Gives whether the inputs go together, and the shape of the output. */
typedef int (*reader)(void *const *in, convolution *c, int64_t *shape);

static int are_images(void *tensor, const convolution *c) {
    return is_of(tensor, c->images, c->height, c->width, c->channels);
}

static int are_outputs(void *tensor, const convolution *c) {
    return is_of(tensor, c->images, c->out_height, c->out_width, c->out_channels);
}

static int read_kernel(void *tensor, convolution *c) {
    c->channels = (int)TF_Dim(tensor, 2), c->out_channels = (int)TF_Dim(tensor, 3);
    return is_of(tensor, c->window_height, c->window_width, c->channels, c->out_channels);
}

static int of_outputs(void *const *in, convolution *c, int64_t *shape) {
    int is_kernel = read_kernel(in[1], c);
    set_shape(shape, c->images, c->out_height, c->out_width, c->out_channels);
    return is_kernel && are_images(in[0], c);
}

static int of_inputs(void *const *in, convolution *c, int64_t *shape) {
    int is_kernel = read_kernel(in[1], c);
    set_shape(shape, c->images, c->height, c->width, c->channels);
    return is_kernel && are_outputs(in[0], c);
}

static int of_kernel(void *const *in, convolution *c, int64_t *shape) {
    c->channels = (int)TF_Dim(in[0], 3), c->out_channels = (int)TF_Dim(in[1], 3);
    set_shape(shape, c->window_height, c->window_width, c->channels, c->out_channels);
    return are_images(in[0], c) && are_outputs(in[1], c);
}

/* The same of depthwise ones, whose kernel is [.., .., channels, 1]. */
static int of_depthwise(void *const *in, convolution *c, int64_t *shape) {
    c->channels = c->out_channels = (int)TF_Dim(in[0], 3);
    set_shape(shape, c->images, c->out_height, c->out_width, c->channels);
    return are_images(in[0], c) &&
           is_of(in[1], c->window_height, c->window_width, c->channels, 1);
}

static int of_depthwise_inputs(void *const *in, convolution *c, int64_t *shape) {
    c->channels = c->out_channels = (int)TF_Dim(in[0], 3);
    set_shape(shape, c->images, c->height, c->width, c->channels);
    return are_outputs(in[0], c) &&
           is_of(in[1], c->window_height, c->window_width, c->channels, 1);
}

static int of_depthwise_kernel(void *const *in, convolution *c, int64_t *shape) {
    c->channels = c->out_channels = (int)TF_Dim(in[0], 3);
    set_shape(shape, c->window_height, c->window_width, c->channels, 1);
    return are_images(in[0], c) && are_outputs(in[1], c);
}

/* Whether each window along an axis has a place of the image in it. */
static int windows_see(int count, int size, int stride, int before, int length) {
    return before >= 0 && before < size && ((int64_t)count - 1) * stride - before < length;
}

/* The same of maxima, for which there is no kernel. */
static int read_windows(void *images, convolution *c) {
    c->channels = c->out_channels = (int)TF_Dim(images, 3);
    return are_images(images, c) && c->tap_rows == 1 && c->tap_columns == 1 &&
           (int64_t)c->window_height * c->window_width <= MOST_PLACES &&
           windows_see(c->out_height, c->window_height, c->stride_rows, c->top, c->height) &&
           windows_see(c->out_width, c->window_width, c->stride_columns, c->left, c->width);
}

static int of_maxima(void *const *in, convolution *c, int64_t *shape) {
    int fits = read_windows(in[0], c) && are_images(in[1], c);
    set_shape(shape, c->images, c->out_height, c->out_width, c->channels);
    return fits;
}

static int of_maxima_inputs(void *const *in, convolution *c, int64_t *shape) {
    int fits = read_windows(in[0], c) && are_outputs(in[1], c);
    set_shape(shape, c->images, c->height, c->width, c->channels);
    return fits;
}

/* What an operation is given and gives while it runs. */
enum { MOST_INPUTS = 8, MOST_OUTPUTS = 7, MOST_AXES = 8 };

typedef struct {
    void *context, *status, *in[MOST_INPUTS], *out[MOST_OUTPUTS];
} call;

static int failed(const call *c) { return TF_GetCode(c->status) != 0; }

static void fail(call *c, int code, const char *why) { TF_SetStatus(c->status, code, why); }

static call began(void *context) {
    return (call){.context = context, .status = TF_NewStatus()};
}

static void read_input(call *c, int slot, int index) {
    if (!failed(c)) TF_GetInput(c->context, index, &c->in[slot], c->status);
}

static call begin(void *context, int inputs) {
    call c = began(context);
    for (int i = 0; i < inputs; i++) read_input(&c, i, i);
    return c;
}

/* Memory for an output; NULL once anything failed. */
static void *output_at(call *c, int slot, int index, int type, const int64_t *shape, int rank) {
    size_t count = 1, bytes = type == INT32 ? 4 : 2;
    for (int i = 0; i < rank; i++) count *= (size_t)shape[i];
    if (failed(c)) return NULL;
    c->out[slot] =
        TF_AllocateOutput(c->context, index, type, shape, rank, bytes * count, c->status);
    return failed(c) ? NULL : TF_TensorData(c->out[slot]);
}

static void *output_of(call *c, int index, int type, const int64_t *shape, int rank) {
    return output_at(c, index, index, type, shape, rank);
}

static void *output(call *c, int index, const int64_t *shape, int rank) {
    return output_of(c, index, HALF, shape, rank);
}

/* An output in the memory of an input of its size that nothing else uses, else in memory
 * of its own. Afterwards `given` are the input's numbers, wherever they are. */
static void *output_over(call *c, int input, int index, const int64_t *shape, int rank,
                         const void **given) {
    if (failed(c)) return NULL;
    TF_DeleteTensor(c->in[input]); /* or this would be one more who uses it */
    c->in[input] = NULL;
    int forwarded = -1;
    c->out[index] = TF_ForwardInputOrAllocateOutput(c->context, &input, 1, index, shape, rank,
                                                    &forwarded, c->status);
    if (!failed(c) && forwarded < 0)
        TF_GetInput(c->context, input, &c->in[input], c->status);
    if (failed(c)) return NULL;
    void *to = TF_TensorData(c->out[index]);
    *given = forwarded < 0 ? TF_TensorData(c->in[input]) : to;
    return to;
}

static void end(call *c) {
    if (failed(c)) TF_OpKernelContext_Failure(c->context, c->status);
    for (int i = 0; i < MOST_INPUTS; i++)
        if (c->in[i]) TF_DeleteTensor(c->in[i]);
    for (int i = 0; i < MOST_OUTPUTS; i++)
        if (c->out[i]) TF_DeleteTensor(c->out[i]);
    TF_DeleteStatus(c->status);
}

static const char *const SHAPES = "shapes that do not go together";
static const char *const MEMORY = "no memory for a kernel of keras16";

static void compute(void *context, reader read, kernel run) {
    call c = begin(context, 3);
    convolution of;
    int64_t shape[4] = {0};
    if (!failed(&c) && (TF_NumDims(c.in[0]) != 4 || TF_NumDims(c.in[1]) != 4 ||
                        !read_geometry(c.in[2], &of)))
        fail(&c, INVALID_ARGUMENT, SHAPES);
    if (!failed(&c)) of.images = (int)TF_Dim(c.in[0], 0);
    if (!failed(&c) && !read(c.in, &of, shape)) fail(&c, INVALID_ARGUMENT, SHAPES);
    void *out = output(&c, 0, shape, 4);
    size_t count = out ? (size_t)(shape[0] * shape[1] * shape[2] * shape[3]) : 0;
    if (count && (!of.images || !of.channels || !of.out_channels || !of.height || !of.width ||
                  !of.out_height || !of.out_width))
        __builtin_memset(out, 0, 2 * count); /* sums of nothing */
    else if (count && !run(&of, TF_TensorData(c.in[0]), TF_TensorData(c.in[1]), out))
        fail(&c, RESOURCE_EXHAUSTED, MEMORY);
    end(&c);
}

static void compute_outputs(void *unused, void *context) {
    (void)unused;
    compute(context, of_outputs, convolve);
}

static void compute_inputs(void *unused, void *context) {
    (void)unused;
    compute(context, of_inputs, convolve_back);
}

static void compute_kernel(void *unused, void *context) {
    (void)unused;
    compute(context, of_kernel, kernel_gradient);
}

static void compute_depthwise(void *unused, void *context) {
    (void)unused;
    compute(context, of_depthwise, depthwise);
}

static void compute_depthwise_inputs(void *unused, void *context) {
    (void)unused;
    compute(context, of_depthwise_inputs, depthwise_back);
}

static void compute_depthwise_kernel(void *unused, void *context) {
    (void)unused;
    compute(context, of_depthwise_kernel, depthwise_kernel_gradient);
}

/* ---- means of windows ------------------------------------------------------------ */

static void compute_of_windows(void *context, int is_back,
                               int (*run)(const convolution *, const uint16_t *, uint16_t *)) {
    call c = begin(context, 2);
    convolution of;
    int64_t shape[4] = {0};
    if (!failed(&c) && (TF_NumDims(c.in[0]) != 4 || !read_geometry(c.in[1], &of)))
        fail(&c, INVALID_ARGUMENT, SHAPES);
    if (!failed(&c)) {
        of.images = (int)TF_Dim(c.in[0], 0);
        of.channels = of.out_channels = (int)TF_Dim(c.in[0], 3);
        if (is_back) set_shape(shape, of.images, of.height, of.width, of.channels);
        else set_shape(shape, of.images, of.out_height, of.out_width, of.channels);
        if (!(is_back ? are_outputs : are_images)(c.in[0], &of))
            fail(&c, INVALID_ARGUMENT, SHAPES);
    }
    void *out = output(&c, 0, shape, 4);
    if (out && shape[0] * shape[1] * shape[2] * shape[3] > 0 &&
        !run(&of, TF_TensorData(c.in[0]), out))
        fail(&c, RESOURCE_EXHAUSTED, MEMORY);
    end(&c);
}

static void compute_means(void *unused, void *context) {
    (void)unused;
    compute_of_windows(context, 0, window_means);
}

static void compute_means_back(void *unused, void *context) {
    (void)unused;
    compute_of_windows(context, 1, window_means_back);
}

/* ---- maxima of windows ----------------------------------------------------------- */

static void compute_maxima(void *unused, void *context) {
    (void)unused;
    compute(context, of_maxima, maxima);
}

static void compute_maxima_inputs(void *unused, void *context) {
    (void)unused;
    compute(context, of_maxima_inputs, maxima_back);
}

/* ---- products ------------------------------------------------------------------- */

/* A shape and its product. */
static int read_shape(void *tensor, int64_t *shape, int64_t *size) {
    int rank = TF_NumDims(tensor);
    *size = 1;
    for (int i = 0; i < rank && i < MOST_AXES; i++) *size *= shape[i] = TF_Dim(tensor, i);
    return rank <= MOST_AXES;
}

typedef int (*multiplier)(const factors *, const uint16_t *, const uint16_t *, uint16_t *);

/* Of [count, rows, columns] both; a sum is over one axis of each. */
static void compute_products(void *context, int of_x, int of_y, multiplier run) {
    enum { X, Y, INPUTS };
    call c = begin(context, INPUTS);
    int64_t x[MOST_AXES], y[MOST_AXES], shape[3] = {0}, size;
    if (!failed(&c) && !(TF_NumDims(c.in[X]) == 3 && TF_NumDims(c.in[Y]) == 3 &&
                         read_shape(c.in[X], x, &size) && size <= INT32_MAX &&
                         read_shape(c.in[Y], y, &size) && size <= INT32_MAX &&
                         x[0] == y[0] && x[of_x] == y[of_y]))
        fail(&c, INVALID_ARGUMENT, SHAPES);
    if (!failed(&c)) shape[0] = x[0], shape[1] = x[3 - of_x], shape[2] = y[3 - of_y];
    void *to = output(&c, 0, shape, 3);
    size = shape[0] * shape[1] * shape[2];
    if (to && size && !x[of_x]) {
        __builtin_memset(to, 0, 2 * (size_t)size); /* sums of nothing */
    } else if (to && size) {
        int is_turned = of_y == 2;
        factors f = {(int)x[0], (int)x[1], (int)(is_turned ? y[1] : x[2]),
                     (int)(is_turned ? x[2] : y[2])};
        if (!run(&f, TF_TensorData(c.in[X]), TF_TensorData(c.in[Y]), to))
            fail(&c, RESOURCE_EXHAUSTED, MEMORY);
    }
    end(&c);
}

static void compute_plain_products(void *unused, void *context) {
    (void)unused;
    compute_products(context, 2, 1, products);
}

static void compute_products_of_rows(void *unused, void *context) {
    (void)unused;
    compute_products(context, 2, 2, products_of_rows);
}

static void compute_products_of_columns(void *unused, void *context) {
    (void)unused;
    compute_products(context, 1, 1, products_of_columns);
}

/* ---- sums over rows ------------------------------------------------------------- */

static int read_matrix(void *tensor, matrix *m) {
    if (TF_NumDims(tensor) != 2) return 0;
    m->x = TF_TensorData(tensor), m->rows = TF_Dim(tensor, 0);
    m->channels = (int)TF_Dim(tensor, 1);
    return 1;
}

static int is_matrix(void *tensor, const matrix *m) {
    return TF_NumDims(tensor) == 2 && TF_Dim(tensor, 0) == m->rows &&
           TF_Dim(tensor, 1) == m->channels;
}

/* The last input: what sums are divided by. */
static int read_divisor(void *tensor, int64_t *over) {
    if (TF_TensorType(tensor) != INT64 || TF_NumDims(tensor)) return 0;
    *over = *(const int64_t *)TF_TensorData(tensor);
    if (*over < 1) *over = 1;
    return 1;
}

/* The first input is the matrix. */
static call begin_sums(void *context, int inputs, matrix *m, int64_t *over) {
    call c = begin(context, inputs);
    if (!failed(&c) && !(read_matrix(c.in[0], m) && read_divisor(c.in[inputs - 1], over)))
        fail(&c, INVALID_ARGUMENT, SHAPES);
    return c;
}

static void compute_sums(void *unused, void *context) {
    (void)unused;
    matrix m = {0};
    int64_t over = 1;
    call c = begin_sums(context, 2, &m, &over);
    int64_t shape[] = {m.channels};
    void *sums = output(&c, 0, shape, 1);
    if (!failed(&c) && !row_sums(&m, over, sums)) fail(&c, RESOURCE_EXHAUSTED, MEMORY);
    end(&c);
}

static void compute_sums_of_each(void *unused, void *context) {
    (void)unused;
    enum { X, OVER, INPUTS };
    call c = begin(context, INPUTS);
    int64_t x[MOST_AXES] = {0}, size, over = 1;
    if (!failed(&c) && !(TF_NumDims(c.in[X]) == 3 && read_shape(c.in[X], x, &size) &&
                         x[0] <= INT32_MAX && x[2] <= INT32_MAX &&
                         read_divisor(c.in[OVER], &over)))
        fail(&c, INVALID_ARGUMENT, SHAPES);
    int64_t shape[] = {x[0], x[2]};
    void *sums = output(&c, 0, shape, 2);
    if (!failed(&c)) {
        matrix m = {TF_TensorData(c.in[X]), x[1], (int)x[2]};
        if (!row_sums_of_each(&m, (int)x[0], over, sums)) fail(&c, RESOURCE_EXHAUSTED, MEMORY);
    }
    end(&c);
}

static void compute_sums_of_rows(void *unused, void *context) {
    (void)unused;
    matrix m = {0};
    int64_t over = 1;
    call c = begin_sums(context, 2, &m, &over);
    void *sums = output(&c, 0, &m.rows, 1);
    if (!failed(&c) && !sums_of_rows(&m, over, sums)) fail(&c, RESOURCE_EXHAUSTED, MEMORY);
    end(&c);
}

static void compute_extremes_of_rows(void *unused, void *context) {
    (void)unused;
    matrix m = {0};
    call c = begin(context, 1);
    if (!failed(&c) && !read_matrix(c.in[0], &m)) fail(&c, INVALID_ARGUMENT, SHAPES);
    void *highest = output(&c, 0, &m.rows, 1), *lowest = output(&c, 1, &m.rows, 1);
    if (!failed(&c) && !extremes_of_rows(&m, highest, lowest))
        fail(&c, RESOURCE_EXHAUSTED, MEMORY);
    end(&c);
}

/* ---- batch normalization ---------------------------------------------------------- */

static int read_float(void *tensor, float *x) {
    if (TF_TensorType(tensor) != INT32 || TF_NumDims(tensor)) return 0;
    __builtin_memcpy(x, TF_TensorData(tensor), sizeof *x);
    return 1;
}

static int are_vectors(void *const *tensors, int count, int64_t length) {
    for (int i = 0; i < count; i++)
        if (TF_NumDims(tensors[i]) != 1 || TF_Dim(tensors[i], 0) != length) return 0;
    return 1;
}

static void compute_normalized(void *unused, void *context) {
    (void)unused;
    enum { X, GAMMA, BETA, EPSILON, INPUTS };
    call c = begin(context, INPUTS);
    matrix m = {0};
    float epsilon = 0;
    if (!failed(&c) && !(read_matrix(c.in[X], &m) && are_vectors(c.in + GAMMA, 2, m.channels) &&
                         read_float(c.in[EPSILON], &epsilon)))
        fail(&c, INVALID_ARGUMENT, SHAPES);
    int64_t shape[] = {m.rows, m.channels};
    void *y = output(&c, 0, shape, 2);
    column_statistics to = {
        .mean = output(&c, 1, shape + 1, 1),
        .beyond = output(&c, 2, shape + 1, 1),
        .deviation = output(&c, 3, shape + 1, 1),
        .power = output(&c, 4, shape + 1, 1),
        .inverse = output(&c, 5, shape + 1, 1),
        .center = output(&c, 6, shape + 1, 1),
    };
    if (!failed(&c) && !normalize(&m, TF_TensorData(c.in[GAMMA]), TF_TensorData(c.in[BETA]),
                                  epsilon, to, y))
        fail(&c, RESOURCE_EXHAUSTED, MEMORY);
    end(&c);
}

static void compute_normalized_back(void *unused, void *context) {
    (void)unused;
    enum { X, SLOPES, GAMMA, MEAN, POWER, INVERSE, CENTER, INPUTS };
    call c = begin(context, INPUTS);
    matrix m = {0};
    if (!failed(&c) && !(read_matrix(c.in[X], &m) && is_matrix(c.in[SLOPES], &m) &&
                         are_vectors(c.in + GAMMA, INPUTS - GAMMA, m.channels)))
        fail(&c, INVALID_ARGUMENT, SHAPES);
    int64_t shape[] = {m.rows, m.channels};
    const void *slopes = NULL;
    void *of_x = output_over(&c, SLOPES, 0, shape, 2, &slopes);
    void *of_gamma = output(&c, 1, shape + 1, 1), *of_beta = output(&c, 2, shape + 1, 1);
    if (!failed(&c)) {
        column_statistics of = {
            .mean = TF_TensorData(c.in[MEAN]),
            .power = TF_TensorData(c.in[POWER]),
            .inverse = TF_TensorData(c.in[INVERSE]),
            .center = TF_TensorData(c.in[CENTER]),
        };
        if (!normalize_back(&m, slopes, TF_TensorData(c.in[GAMMA]), of, of_x, of_gamma,
                            of_beta))
            fail(&c, RESOURCE_EXHAUSTED, MEMORY);
    }
    end(&c);
}

static void compute_moved_statistics(void *unused, void *context) {
    (void)unused;
    enum { MEAN, MEAN_FRACTION, DEVIATION, DEVIATION_FRACTION, TO_MEAN, TO_BEYOND, TO_DEVIATION,
           SHARE, INPUTS };
    call c = begin(context, INPUTS);
    float share = 0;
    int64_t length = 0;
    if (!failed(&c)) {
        length = TF_NumDims(c.in[MEAN]) == 1 ? TF_Dim(c.in[MEAN], 0) : 0;
        if (!are_vectors(c.in, SHARE, length) || !read_float(c.in[SHARE], &share))
            fail(&c, INVALID_ARGUMENT, SHAPES);
    }
    kept_average mean = {output(&c, 0, &length, 1), output_of(&c, 1, INT16, &length, 1)};
    kept_average deviation = {output(&c, 2, &length, 1), output_of(&c, 3, INT16, &length, 1)};
    if (!failed(&c)) {
        column_statistics towards = {
            .mean = TF_TensorData(c.in[TO_MEAN]),
            .beyond = TF_TensorData(c.in[TO_BEYOND]),
            .deviation = TF_TensorData(c.in[TO_DEVIATION]),
        };
        move_statistics(
            (int)length,
            (kept_average){TF_TensorData(c.in[MEAN]), TF_TensorData(c.in[MEAN_FRACTION])},
            (kept_average){TF_TensorData(c.in[DEVIATION]), TF_TensorData(c.in[DEVIATION_FRACTION])},
            towards, share, mean, deviation);
    }
    end(&c);
}

/* ---- rectified linear units --------------------------------------------------------- */

static int read_half(void *tensor, uint16_t *x) {
    if (TF_TensorType(tensor) != HALF || TF_NumDims(tensor)) return 0;
    *x = *(const uint16_t *)TF_TensorData(tensor);
    return 1;
}

static void compute_rectified(void *unused, void *context) {
    (void)unused;
    enum { X, MOST, INPUTS };
    call c = begin(context, INPUTS);
    int64_t shape[MOST_AXES], size = 0;
    uint16_t most = 0;
    if (!failed(&c) && !(read_shape(c.in[X], shape, &size) && read_half(c.in[MOST], &most)))
        fail(&c, INVALID_ARGUMENT, SHAPES);
    int rank = failed(&c) ? 0 : TF_NumDims(c.in[X]);
    const void *x = NULL;
    void *y = output_over(&c, X, 0, shape, rank, &x);
    if (!failed(&c) && !rectify(x, size, most, y))
        fail(&c, RESOURCE_EXHAUSTED, MEMORY);
    end(&c);
}

static void compute_rectified_back(void *unused, void *context) {
    (void)unused;
    enum { SLOPES, Y, MOST, INPUTS };
    call c = begin(context, INPUTS);
    int64_t shape[MOST_AXES], size = 0, slopes = 0;
    uint16_t most = 0;
    if (!failed(&c) && !(read_shape(c.in[SLOPES], shape, &slopes) &&
                         read_shape(c.in[Y], shape, &size) && size == slopes &&
                         read_half(c.in[MOST], &most)))
        fail(&c, INVALID_ARGUMENT, SHAPES);
    int rank = failed(&c) ? 0 : TF_NumDims(c.in[Y]);
    const void *upstream = NULL;
    void *x = output_over(&c, SLOPES, 0, shape, rank, &upstream);
    if (!failed(&c) && !rectify_back(upstream, TF_TensorData(c.in[Y]), size, most, x))
        fail(&c, RESOURCE_EXHAUSTED, MEMORY);
    end(&c);
}

/* ---- dropout ------------------------------------------------------------------------ */

static int read_drop(void *key, void *numbers, drop *d) {
    if (TF_TensorType(key) != INT32 || TF_NumDims(key) != 1 || TF_Dim(key, 0) != 2) return 0;
    if (TF_NumDims(numbers) != 1 || TF_Dim(numbers, 0) != 2) return 0;
    __builtin_memcpy(d->key, TF_TensorData(key), sizeof d->key);
    const uint32_t *of = TF_TensorData(numbers);
    d->least = of[0];
    __builtin_memcpy(&d->scale, of + 1, sizeof d->scale);
    return 1;
}

static void compute_dropped(void *unused, void *context) {
    (void)unused;
    enum { X, KEY, NUMBERS, INPUTS };
    call c = begin(context, INPUTS);
    int64_t shape[MOST_AXES], size = 0;
    drop d;
    if (!failed(&c) &&
        !(read_shape(c.in[X], shape, &size) && read_drop(c.in[KEY], c.in[NUMBERS], &d)))
        fail(&c, INVALID_ARGUMENT, SHAPES);
    int rank = failed(&c) ? 0 : TF_NumDims(c.in[X]);
    const void *x = NULL;
    void *y = output_over(&c, X, 0, shape, rank, &x);
    if (!failed(&c) && !dropped(&d, x, size, y)) fail(&c, RESOURCE_EXHAUSTED, MEMORY);
    end(&c);
}

/* ---- softmax ------------------------------------------------------------------------ */

static void compute_softmax(void *unused, void *context) {
    (void)unused;
    enum { X, INPUTS };
    call c = begin(context, INPUTS);
    matrix m = {0};
    if (!failed(&c) && !read_matrix(c.in[X], &m)) fail(&c, INVALID_ARGUMENT, SHAPES);
    int64_t shape[] = {m.rows, m.channels};
    const void *x = NULL;
    void *y = output_over(&c, X, 0, shape, 2, &x);
    m.x = x;
    if (!failed(&c) && !softmax(&m, y)) fail(&c, RESOURCE_EXHAUSTED, MEMORY);
    end(&c);
}

static void compute_softmax_back(void *unused, void *context) {
    (void)unused;
    enum { X, SLOPES, INPUTS };
    call c = begin(context, INPUTS);
    matrix m = {0};
    if (!failed(&c) && !(read_matrix(c.in[X], &m) && is_matrix(c.in[SLOPES], &m)))
        fail(&c, INVALID_ARGUMENT, SHAPES);
    int64_t shape[] = {m.rows, m.channels};
    const void *slopes = NULL;
    void *of_x = output_over(&c, SLOPES, 0, shape, 2, &slopes);
    if (!failed(&c) && !softmax_back(&m, slopes, of_x)) fail(&c, RESOURCE_EXHAUSTED, MEMORY);
    end(&c);
}

/* ---- cross-entropy ------------------------------------------------------------------ */

/* Logits and a class id for each row of them. */
static int read_labelled(void *const *in, matrix *logits) {
    return read_matrix(in[0], logits) && are_vectors(in + 1, 1, logits->rows);
}

static void compute_cross_entropies(void *unused, void *context) {
    (void)unused;
    enum { LOGITS, IDS, INPUTS };
    call c = begin(context, INPUTS);
    matrix m = {0};
    if (!failed(&c) && !read_labelled(c.in, &m)) fail(&c, INVALID_ARGUMENT, SHAPES);
    scaled_numbers losses = {.x = output(&c, 0, &m.rows, 1),
                             .exponent = output_of(&c, 1, INT32, &m.rows, 1)};
    if (!failed(&c) && !cross_entropies(&m, TF_TensorData(c.in[IDS]), losses))
        fail(&c, RESOURCE_EXHAUSTED, MEMORY);
    end(&c);
}

static void compute_cross_entropies_back(void *unused, void *context) {
    (void)unused;
    enum { LOGITS, IDS, SLOPES, EXPONENTS, INPUTS };
    call c = begin(context, INPUTS);
    matrix m = {0};
    if (!failed(&c) && !(read_labelled(c.in, &m) && are_vectors(c.in + SLOPES, 2, m.rows)))
        fail(&c, INVALID_ARGUMENT, SHAPES);
    int64_t shape[] = {m.rows, m.channels};
    void *to = output(&c, 0, shape, 2);
    if (!failed(&c) &&
        !cross_entropies_back(&m, TF_TensorData(c.in[IDS]), TF_TensorData(c.in[SLOPES]),
                              TF_TensorData(c.in[EXPONENTS]), to))
        fail(&c, RESOURCE_EXHAUSTED, MEMORY);
    end(&c);
}

/* ---- updates ---------------------------------------------------------------------- */

static int read_int(void *tensor, int32_t *x) {
    if (TF_TensorType(tensor) != INT32 || TF_NumDims(tensor)) return 0;
    *x = *(const int32_t *)TF_TensorData(tensor);
    return 1;
}

/* An optimizer's step for a variable; `words` are the operation's last input. */
typedef int (*mover)(const void *words, const update *u);

static int move_by_adam(const void *words, const update *u) { return adam(words, u); }

static int move_by_rmsprop(const void *words, const update *u) { return rmsprop(words, u); }

static int move_by_sgd(const void *words, const update *u) { return sgd(words, u); }

/* What an optimizer's operation is given, in lists of a tensor for each variable: weights,
 * gradients, slots, and perhaps powers of two of the first slot. */
typedef struct {
    int slots, has_power;
    size_t bytes; /* of the words */
    mover run;
} optimizer;

/* Moves one of the variables; gives how many elements it has, or -1. */
static int64_t move_variable(void *context, const optimizer *o, int variable, int variables,
                             int64_t first) {
    enum { WEIGHT, GRADIENT, SLOTS };
    call c = began(context);
    int lists = SLOTS + o->slots, power = lists, words = lists + o->has_power;
    int64_t shape[MOST_AXES], size[MOST_INPUTS] = {0};
    for (int i = 0; i < words; i++) read_input(&c, i, i * variables + variable);
    read_input(&c, words, words * variables);
    update u = {.first = first};
    int fits = !failed(&c) && TF_TensorType(c.in[words]) == INT32 &&
               TF_NumDims(c.in[words]) == 1 &&
               (size_t)TF_Dim(c.in[words], 0) * sizeof(int32_t) == o->bytes;
    if (fits && o->has_power) fits = read_int(c.in[power], &u.power);
    for (int i = lists - 1; fits && i >= 0; i--) {
        fits = read_shape(c.in[i], shape, &size[i]);
        if (i < lists - 1) fits = fits && size[i] == size[i + 1];
    }
    if (!failed(&c) && !fits) fail(&c, INVALID_ARGUMENT, SHAPES);
    int rank = failed(&c) ? 0 : TF_NumDims(c.in[WEIGHT]); /* its shape was read last */
    u.size = size[WEIGHT];
    u.moved_weight = output_at(&c, 0, variable, HALF, shape, rank);
    for (int i = 0; i < o->slots; i++)
        u.moved_slots[i] = output_at(&c, 1 + i, (1 + i) * variables + variable, HALF, shape, rank);
    if (o->has_power)
        u.moved_power =
            output_at(&c, 1 + o->slots, (1 + o->slots) * variables + variable, INT32, NULL, 0);
    if (!failed(&c)) {
        u.weight = TF_TensorData(c.in[WEIGHT]), u.gradient = TF_TensorData(c.in[GRADIENT]);
        for (int i = 0; i < o->slots; i++) u.slots[i] = TF_TensorData(c.in[SLOTS + i]);
        if (!o->run(TF_TensorData(c.in[words]), &u))
            fail(&c, RESOURCE_EXHAUSTED, MEMORY);
    }
    int has_failed = failed(&c);
    end(&c);
    return has_failed ? -1 : u.size;
}

static void move_all(void *context, optimizer o) {
    int variables = (TF_NumInputs(context) - 1) / (2 + o.slots + o.has_power);
    int64_t first = 0;
    for (int i = 0; i < variables; i++) {
        int64_t size = move_variable(context, &o, i, variables, first);
        if (size < 0) return;
        first += size;
    }
}

static void compute_adam(void *unused, void *context) {
    (void)unused;
    move_all(context, (optimizer){2, 0, sizeof(adam_step), move_by_adam});
}

static void compute_rmsprop(void *unused, void *context) {
    (void)unused;
    move_all(context, (optimizer){1, 0, sizeof(rmsprop_step), move_by_rmsprop});
}

static void compute_sgd(void *unused, void *context) {
    (void)unused;
    move_all(context, (optimizer){0, 0, sizeof(sgd_step), move_by_sgd});
}

static void compute_momentum(void *unused, void *context) {
    (void)unused;
    move_all(context, (optimizer){1, 1, sizeof(sgd_step), move_by_sgd});
}

/* ---- whole numbers ---------------------------------------------------------------- */

static void compute_accumulated(void *unused, void *context) {
    (void)unused;
    enum { SUM, X, EXPONENTS, COUNT, INPUTS, WORDS = 8 };
    call c = begin(context, INPUTS);
    int64_t shape[MOST_AXES], size = 0, exponents = 0, words = WORDS;
    int32_t count = 0;
    if (!failed(&c) && !(are_vectors(c.in + SUM, 1, WORDS) && read_shape(c.in[X], shape, &size) &&
                         read_shape(c.in[EXPONENTS], shape, &exponents) &&
                         (exponents == size || !exponents) && read_int(c.in[COUNT], &count)))
        fail(&c, INVALID_ARGUMENT, SHAPES);
    void *to = output_of(&c, 0, INT32, &words, 1);
    if (!failed(&c))
        accumulate(TF_TensorData(c.in[SUM]), TF_TensorData(c.in[X]), size,
                   exponents ? TF_TensorData(c.in[EXPONENTS]) : NULL, count, to);
    end(&c);
}

static void compute_entry(void *unused, void *context) {
    (void)unused;
    enum { ENTRIES, STEP, EXACT, OCTAVE, INPUTS };
    call c = begin(context, INPUTS);
    int32_t step = 0, exact = 0, octave = 0;
    if (!failed(&c) &&
        !(TF_NumDims(c.in[ENTRIES]) == 1 && TF_Dim(c.in[ENTRIES], 0) > 0 &&
          read_int(c.in[STEP], &step) && read_int(c.in[EXACT], &exact) &&
          read_int(c.in[OCTAVE], &octave)))
        fail(&c, INVALID_ARGUMENT, SHAPES);
    int32_t *to = output_of(&c, 0, INT32, NULL, 0);
    if (!failed(&c))
        *to = entry_at(TF_TensorData(c.in[ENTRIES]), TF_Dim(c.in[ENTRIES], 0), step, exact, octave);
    end(&c);
}

static void unknown_shape(void *context, void *status) {
    TF_ShapeInferenceContextSetUnknownShape(context, status);
}

/* Inputs and outputs as TensorFlow writes them, such as "x: half"; each list ends with
 * NULL. An attribute may say how many there are of some. */
static void offer_of(const char *name, const char *attribute, const char *const *inputs,
                     const char *const *outputs, void (*run)(void *, void *)) {
    void *status = TF_NewStatus(), *op = TF_NewOpDefinitionBuilder(name);
    if (attribute) TF_OpDefinitionBuilderAddAttr(op, attribute);
    for (; *inputs; inputs++) TF_OpDefinitionBuilderAddInput(op, *inputs);
    for (; *outputs; outputs++) TF_OpDefinitionBuilderAddOutput(op, *outputs);
    TF_OpDefinitionBuilderSetShapeInferenceFunction(op, unknown_shape);
    TF_RegisterOpDefinition(op, status);
    if (!TF_GetCode(status))
        TF_RegisterKernelBuilder(name, TF_NewKernelBuilder(name, "CPU", NULL, run, NULL),
                                 status);
    TF_DeleteStatus(status);
}

static void offer(const char *name, const char *const *inputs, const char *const *outputs,
                  void (*run)(void *, void *)) {
    offer_of(name, NULL, inputs, outputs, run);
}

#define LIST(...) \
    (const char *const[]) { __VA_ARGS__, NULL }

__attribute__((constructor)) static void offer_all(void) {
    void *library = dlopen("libtensorflow_framework.so.2", RTLD_LAZY | RTLD_NOLOAD);
    if (!library || !has_vectors()) return;
#define FOUND(name, result, arguments) \
    if (!(name = (result(*) arguments)dlsym(library, #name))) return;
    INTERFACE(FOUND)
    offer("Keras16Convolution", LIST("x: half", "kernel: half", "geometry: int64"),
          LIST("y: half"), compute_outputs);
    offer("Keras16ConvolutionOfSlopes", LIST("slopes: half", "kernel: half", "geometry: int64"),
          LIST("x: half"), compute_inputs);
    offer("Keras16KernelGradient", LIST("x: half", "slopes: half", "geometry: int64"),
          LIST("kernel: half"), compute_kernel);
    offer("Keras16Depthwise", LIST("x: half", "kernel: half", "geometry: int64"),
          LIST("y: half"), compute_depthwise);
    offer("Keras16DepthwiseOfSlopes", LIST("slopes: half", "kernel: half", "geometry: int64"),
          LIST("x: half"), compute_depthwise_inputs);
    offer("Keras16DepthwiseKernelGradient", LIST("x: half", "slopes: half", "geometry: int64"),
          LIST("kernel: half"), compute_depthwise_kernel);
    offer("Keras16Means", LIST("x: half", "geometry: int64"), LIST("y: half"), compute_means);
    offer("Keras16MeansOfSlopes", LIST("slopes: half", "geometry: int64"), LIST("x: half"),
          compute_means_back);

    offer("Keras16Maxima", LIST("x: half", "of: half", "geometry: int64"), LIST("y: half"),
          compute_maxima);
    offer("Keras16MaximaOfSlopes", LIST("x: half", "slopes: half", "geometry: int64"),
          LIST("of_x: half"), compute_maxima_inputs);
    offer("Keras16Products", LIST("x: half", "y: half"), LIST("products: half"),
          compute_plain_products);
    offer("Keras16ProductsOfRows", LIST("x: half", "y: half"), LIST("products: half"),
          compute_products_of_rows);
    offer("Keras16ProductsOfColumns", LIST("x: half", "y: half"), LIST("products: half"),
          compute_products_of_columns);
    offer("Keras16RowSums", LIST("x: half", "over: int64"), LIST("sums: half"), compute_sums);
    offer("Keras16RowSumsOfEach", LIST("x: half", "over: int64"), LIST("sums: half"),
          compute_sums_of_each);
    offer("Keras16SumsOfRows", LIST("x: half", "over: int64"), LIST("sums: half"),
          compute_sums_of_rows);
    offer("Keras16ExtremesOfRows", LIST("x: half"), LIST("highest: half", "lowest: half"),
          compute_extremes_of_rows);
    offer("Keras16BatchNormalization",
          LIST("x: half", "gamma: half", "beta: half", "epsilon: int32"),
          LIST("y: half", "mean: half", "beyond: half", "deviation: half", "power: half",
               "inverse: half", "center: half"),
          compute_normalized);
    offer("Keras16BatchNormalizationOfSlopes",
          LIST("x: half", "slopes: half", "gamma: half", "mean: half", "power: half",
               "inverse: half", "center: half"),
          LIST("of_x: half", "of_gamma: half", "of_beta: half"), compute_normalized_back);
    offer("Keras16MovedStatistics",
          LIST("mean: half", "mean_fraction: int16", "deviation: half",
               "deviation_fraction: int16", "to_mean: half", "to_beyond: half",
               "to_deviation: half", "share: int32"),
          LIST("moved_mean: half", "moved_mean_fraction: int16", "moved_deviation: half",
               "moved_deviation_fraction: int16"),
          compute_moved_statistics);
    offer("Keras16Rectified", LIST("x: half", "most: half"), LIST("y: half"), compute_rectified);
    offer("Keras16RectifiedOfSlopes", LIST("slopes: half", "y: half", "most: half"),
          LIST("x: half"), compute_rectified_back);
    offer("Keras16Dropped", LIST("x: half", "key: int32", "numbers: int32"), LIST("y: half"),
          compute_dropped);
    offer("Keras16Softmax", LIST("x: half"), LIST("y: half"), compute_softmax);
    offer("Keras16SoftmaxOfSlopes", LIST("x: half", "slopes: half"), LIST("of_x: half"),
          compute_softmax_back);
    offer("Keras16CrossEntropies", LIST("logits: half", "ids: int32"),
          LIST("losses: half", "exponents: int32"), compute_cross_entropies);
    offer("Keras16CrossEntropiesOfSlopes",
          LIST("logits: half", "ids: int32", "slopes: half", "exponents: int32"),
          LIST("of_logits: half"), compute_cross_entropies_back);
    offer("Keras16Accumulated",
          LIST("words: int32", "x: half", "exponents: int32", "count: int32"),
          LIST("sum: int32"), compute_accumulated);
    offer("Keras16TableEntry",
          LIST("entries: int32", "step: int32", "exact: int32", "octave: int32"),
          LIST("entry: int32"), compute_entry);
    static const char *const MANY = "variables: int >= 1";
#define EACH(name) name ": variables * half"
    offer_of("Keras16Adam", MANY,
             LIST(EACH("weight"), EACH("gradient"), EACH("mean"), EACH("root"), "step: int32"),
             LIST(EACH("moved_weight"), EACH("moved_mean"), EACH("moved_root")), compute_adam);
    offer_of("Keras16Rmsprop", MANY,
             LIST(EACH("weight"), EACH("gradient"), EACH("root"), "step: int32"),
             LIST(EACH("moved_weight"), EACH("moved_root")), compute_rmsprop);
    offer_of("Keras16Sgd", MANY, LIST(EACH("weight"), EACH("gradient"), "step: int32"),
             LIST(EACH("moved_weight")), compute_sgd);
    offer_of("Keras16Momentum", MANY,
             LIST(EACH("weight"), EACH("gradient"), EACH("velocity"), "power: variables * int32",
                  "step: int32"),
             LIST(EACH("moved_weight"), EACH("moved_velocity"), "moved_power: variables * int32"),
             compute_momentum);
}
