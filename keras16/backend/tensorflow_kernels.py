"""The kernels in C as operations of TensorFlow's, with gradients."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import ops
from tensorflow.python.ops import control_flow_util

from keras16 import kernels
from keras16.errors import no_second_derivative

_IMAGES = "Keras16Convolution"
_BACK = "Keras16ConvolutionOfSlopes"
_KERNEL = "Keras16KernelGradient"
_DEPTHWISE = "Keras16Depthwise"
_DEPTHWISE_BACK = "Keras16DepthwiseOfSlopes"
_DEPTHWISE_KERNEL = "Keras16DepthwiseKernelGradient"
_MEANS = "Keras16Means"
_MEANS_BACK = "Keras16MeansOfSlopes"
_MAXIMA = "Keras16Maxima"
_MAXIMA_BACK = "Keras16MaximaOfSlopes"
_PRODUCTS = "Keras16Products"
_OF_ROWS = "Keras16ProductsOfRows"
_OF_COLUMNS = "Keras16ProductsOfColumns"
_SUMS = "Keras16RowSums"
_OF_EACH = "Keras16RowSumsOfEach"
_ALONG = "Keras16SumsOfRows"
_RECTIFIED = "Keras16Rectified"
_RECTIFIED_BACK = "Keras16RectifiedOfSlopes"
_DROPPED = "Keras16Dropped"
_SOFTMAX = "Keras16Softmax"
_SOFTMAX_BACK = "Keras16SoftmaxOfSlopes"
_NORMALIZED_BACK = "Keras16BatchNormalizationOfSlopes"

# A function of two tensors and the geometry.
_Rule = Callable[[Any, Any, Any], Any]

MOST_PLACES = 1 << 16  # of a window of maxima: kernels.h

# The bits of float16 numbers are compared as whole numbers: infinity is below this one.
_JUST_BEYOND_INFINITY = np.uint16(0x7C01).view(np.float16)


@functools.cache
def _loaded() -> tuple[Any, str]:
    """The operations, and the vectors they are for.

    None and "" where they are not installed or this CPU can't run them. Nor are there
    any beside a GPU: it has what it needs, and the tensors.
    """
    if not tf.config.list_physical_devices("GPU"):
        for vectors, _, path in kernels.libraries():
            try:
                library = tf.load_op_library(str(path))
            except (tf.errors.OpError, OSError):
                continue
            if hasattr(library, _IMAGES):
                for name, gradient in _GRADIENTS.items():
                    tf.RegisterGradient(name)(gradient)
                return library, vectors
    return None, ""


def _library() -> Any:
    return _loaded()[0]


def vectors() -> str:
    """What the kernels compute in, "AVX-512" or "AVX2"; "" where there are none."""
    return _loaded()[1]


def available() -> bool:
    """Whether float16 convolutions and products have kernels of our own here."""
    return _library() is not None


def take(*tensors: Any) -> bool:
    """Whether our kernels take these tensors, in the graph that is being traced.

    Without any tensor it is whether there are kernels of whole numbers. XLA has no part
    in them: a step that it compiles whole computes convolutions itself.
    """
    if any(tensor.dtype != tf.float16 for tensor in tensors) or not available():
        return False
    return not in_xla()


def in_xla() -> bool:
    """Whether XLA will compile the graph that is being traced, or one around it."""
    return bool(control_flow_util.GraphOrParentsInXlaContext(ops.get_default_graph()))


def convolution(
    x: Any,
    kernel: Any,
    *,
    strides: Sequence[int] = (1, 1),
    dilation: Sequence[int] = (1, 1),
    padding: str = "valid",
) -> Any:
    """A convolution of images; products are added in float32 and rounded once.

    Args:
        x: [images, height, width, channels] float16.
        kernel: [window height, window width, channels, out channels] float16.
        strides: Of rows and of columns.
        dilation: Likewise.
        padding: "valid" or "same".

    Returns:
        [images, out height, out width, out channels] float16.
    """
    geometry, outs = _windows(x, kernel.shape[:2], strides, dilation, padding)
    outputs = _convolved(x, kernel, geometry)
    outputs.set_shape([x.shape[0], *outs, kernel.shape[3]])
    return outputs


def _windows(
    x: Any,
    size: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
    padding: str,
) -> tuple[Any, list[int | None]]:
    """The geometry of windows over images, and the lengths of results, if known."""
    places = [
        placed(*each, padding)
        for each in zip(_lengths(x), size, strides, dilation, strict=True)
    ]
    outs, before = zip(*places, strict=True)
    numbers = [*strides, *dilation, *before, *_lengths(x), *outs, *size]
    return _geometry(numbers), [_known(out) for out in outs]


def transposed(
    x: Any,
    kernel: Any,
    *,
    out: Sequence[int],
    before: Sequence[int],
    strides: Sequence[int],
    dilation: Sequence[int],
) -> Any:
    """The transpose of a convolution.

    Args:
        x: [images, height, width, channels] float16.
        kernel: [window height, window width, out channels, channels] float16.
        out: Height and width of the results.
        before: Rows and columns of zeros before them in that convolution.
        strides: Of that convolution.
        dilation: Likewise.

    Returns:
        [images, *out, out channels] float16.
    """
    numbers = [*strides, *dilation, *before, *out, *_lengths(x), *kernel.shape[:2]]
    outputs = _convolved_back(x, kernel, _geometry(numbers))
    outputs.set_shape([x.shape[0], *map(_known, out), kernel.shape[2]])
    return outputs


def product(x: Any, kernel: Any) -> Any:
    """Rows times a matrix, [..., inputs] x [inputs, outputs] in float16."""
    inputs, outputs = _lengths(kernel, 0, 2)
    count = math.prod(_lengths(x, 0, len(x.shape) - 1))
    rows = tf.reshape(x, [count, 1, 1, inputs])
    result = convolution(rows, tf.reshape(kernel, [1, 1, inputs, outputs]))
    result = tf.reshape(result, [*_lengths(x, 0, len(x.shape) - 1), outputs])
    result.set_shape([*x.shape[:-1], kernel.shape[1]])
    return result


def products(x: Any, y: Any) -> Any:
    """Matrices times matrices, one by one, in float16; each number is rounded once.

    Args:
        x: [count, rows, inputs] float16.
        y: [count, inputs, outputs] float16.

    Returns:
        [count, rows, outputs] float16.
    """
    return _of_axes(x, 1, y, 2, _library().keras16_products(x=x, y=y))


def _products_of_rows(x: Any, y: Any) -> Any:
    """[count, rows, outputs] x [count, inputs, outputs] -> [count, rows, inputs]."""
    return _of_axes(x, 1, y, 1, _library().keras16_products_of_rows(x=x, y=y))


def _products_of_columns(x: Any, y: Any) -> Any:
    """[count, rows, inputs] x [count, rows, outputs] -> [count, inputs, outputs]."""
    return _of_axes(x, 2, y, 2, _library().keras16_products_of_columns(x=x, y=y))


def _of_axes(x: Any, of_x: int, y: Any, of_y: int, found: Any) -> Any:
    """Products, whose axes are one of x and one of y."""
    count = y.shape[0] if x.shape[0] is None else x.shape[0]
    found.set_shape([count, x.shape[of_x], y.shape[of_y]])
    return found


def depthwise(x: Any, kernel: Any, window: Any) -> Any:
    """A convolution channel by channel; products are added in float32, rounded once.

    Args:
        x: [images, rows, columns, channels] float16.
        kernel: [rows, columns, channels, 1] float16.
        window: Where its windows lie (`numerics.depthwise.Window`).

    Returns:
        [images, *window.results, channels] float16.
    """
    y = _depthwise(x, kernel, _geometry_of(window))
    y.set_shape([x.shape[0], *window.results, x.shape[3]])
    return y


def depthwise_of_slopes(slopes: Any, kernel: Any, window: Any) -> Any:
    """The gradient of its images: [images, *window.given, channels] float16."""
    x = _depthwise_back(slopes, kernel, _geometry_of(window))
    x.set_shape([slopes.shape[0], *window.given, slopes.shape[3]])
    return x


def depthwise_kernel_gradient(x: Any, slopes: Any, window: Any) -> Any:
    """The gradient of its kernel: [rows, columns, channels, 1] float16."""
    kernel = _depthwise_kernel(x, slopes, _geometry_of(window))
    kernel.set_shape([*window.size, x.shape[3], 1])
    return kernel


def means(x: Any, window: Any) -> Any:
    """Means of windows, zeros beyond the edge not counted; each is rounded once.

    Args:
        x: [images, rows, columns, channels] float16.
        window: Where its windows lie (`numerics.depthwise.Window`).

    Returns:
        [images, *window.results, channels] float16.
    """
    y = _library().keras16_means(x=x, geometry=_geometry_of(window))
    y.set_shape([x.shape[0], *window.results, x.shape[3]])
    return y


def _gradient_of_means(op: Any, upstream: Any) -> list[Any]:
    x, geometry = op.inputs
    gradient = _library().keras16_means_of_slopes(slopes=upstream, geometry=geometry)
    gradient.set_shape(x.shape)
    return [gradient, None]


def _gradient_of_means_back(op: Any, upstream: Any) -> list[Any]:
    slopes, geometry = op.inputs
    gradient = _library().keras16_means(x=upstream, geometry=geometry)
    gradient.set_shape(slopes.shape)
    return [gradient, None]


def maxima(x: Any, size: Sequence[int], strides: Sequence[int], padding: str) -> Any:
    """The maxima of windows; of equal numbers the first has the gradient.

    Args:
        x: [images, height, width, channels] float16.
        size: Rows and columns of a window; `MOST_PLACES` at most.
        strides: Of rows and of columns.
        padding: "valid" or "same"; what is padded does not count.

    Returns:
        [images, out height, out width, channels] float16; NaN where a window has some.
    """
    geometry, outs = _windows(x, size, strides, (1, 1), padding)
    y = _at_maxima(x, x, geometry)
    y.set_shape([x.shape[0], *outs, x.shape[3]])
    return y


def _at_maxima(x: Any, of: Any, geometry: Any) -> Any:
    """What other numbers are at the first maxima of windows over x."""
    return _library().keras16_maxima(x=x, of=of, geometry=geometry)


def _to_maxima(x: Any, slopes: Any, geometry: Any) -> Any:
    """The transpose of that: slopes at the first maxima, 0 elsewhere."""
    of_x = _library().keras16_maxima_of_slopes(x=x, slopes=slopes, geometry=geometry)
    of_x.set_shape(x.shape)
    return of_x


# Both are linear in their second input; where a maximum is moves by steps.


def _gradients_of_maxima(op: Any, upstream: Any) -> list[Any]:
    x, _, geometry = op.inputs
    return [None, _to_maxima(x, upstream, geometry), None]


def _gradients_to_maxima(op: Any, upstream: Any) -> list[Any]:
    x, slopes, geometry = op.inputs
    of_slopes = _at_maxima(x, upstream, geometry)
    of_slopes.set_shape(slopes.shape)
    return [None, of_slopes, None]


def _geometry_of(window: Any) -> Any:
    numbers = window.strides, window.dilation, window.before, window.given
    return _geometry(sum((*numbers, window.results, window.size), ()))


def row_sums(rows: Any, over: Any) -> Any:
    """Sums of the columns of [n, channels] float16, over a whole number: [channels]."""
    sums = _library().keras16_row_sums(x=rows, over=tf.cast(over, tf.int64))
    sums.set_shape(rows.shape[1:])
    return sums


def row_sums_of_each(x: Any, over: Any) -> Any:
    """The same of [count, n, channels] float16: [count, channels]."""
    sums = _library().keras16_row_sums_of_each(x=x, over=tf.cast(over, tf.int64))
    sums.set_shape([x.shape[0], x.shape[2]])
    return sums


def last_axis_sum(x: Any, over: Any) -> Any:
    """Sums along the last axis of [..., n] float16, over a whole number: [..., 1]."""
    over = tf.cast(over, tf.int64)
    return _one_a_row(x, _library().keras16_sums_of_rows(x=_rows(x), over=over), 1)


def last_axis_extremes(x: Any) -> tuple[Any, Any]:
    """The largest and smallest along the last axis of [..., n] float16: [..., 1]."""
    highest, lowest = _library().keras16_extremes_of_rows(x=_rows(x))
    return _one_a_row(x, highest, 1), _one_a_row(x, lowest, 1)


def _rows(x: Any) -> Any:
    return tf.reshape(x, [-1, *_lengths(x, len(x.shape) - 1, len(x.shape))])


def _one_a_row(x: Any, found: Any, *last: int) -> Any:
    """One number for each row, [n], in the shape of x but for its last axis."""
    found = tf.reshape(found, [*_lengths(x, 0, len(x.shape) - 1), *last])
    found.set_shape([*x.shape[:-1], *last])
    return found


class BatchStatistics(NamedTuple):
    """What is known of the columns of a matrix, [channels] float16 each.

    Attributes:
        mean: Rounded.
        beyond: What that left out.
        deviation: The root of the variance.
        power: A power of two that brings the root of variance + epsilon to about 1.
        inverse: 1 over that root x power; 1 where it is 0.
        center: What rounding left out of the mean, x power.
    """

    mean: Any
    beyond: Any
    deviation: Any
    power: Any
    inverse: Any
    center: Any


def batch_normalized(
    rows: Any, gamma: Any, beta: Any, epsilon: float
) -> tuple[Any, BatchStatistics]:
    """Columns normalized by their own mean and variance; each number is rounded once.

    Args:
        rows: [n, channels] float16.
        gamma: [channels] float16.
        beta: Likewise.
        epsilon: Added to the variance.
    """
    outputs, *found = _library().keras16_batch_normalization(
        x=rows, gamma=gamma, beta=beta, epsilon=_word(epsilon)
    )
    outputs.set_shape(rows.shape)
    for each in found:
        each.set_shape(rows.shape[1:])
    return outputs, BatchStatistics(*found)


def batch_normalized_gradients(
    rows: Any, slopes: Any, gamma: Any, of: BatchStatistics
) -> tuple[Any, Any, Any]:
    """The gradients of rows, gamma and beta from that of the outputs."""
    found = _library().keras16_batch_normalization_of_slopes(
        x=rows,
        slopes=slopes,
        gamma=gamma,
        mean=of.mean,
        power=of.power,
        inverse=of.inverse,
        center=of.center,
    )
    for each, given in zip(found, (rows, gamma, gamma), strict=True):
        each.set_shape(given.shape)
    return tuple(found)


def moved_statistics(
    mean: tuple[Any, Any], deviation: tuple[Any, Any], to: Sequence[Any], share: float
) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Moving averages as `numerics.averages` keeps them, moved.

    Args:
        mean: [channels] float16, and its fraction, int16.
        deviation: Likewise; its square is what moves.
        to: Of a batch the mean, what rounding left out of it, and the deviation.
        share: Of the way.
    """
    found = _library().keras16_moved_statistics(
        mean=mean[0],
        mean_fraction=mean[1],
        deviation=deviation[0],
        deviation_fraction=deviation[1],
        to_mean=to[0],
        to_beyond=to[1],
        to_deviation=to[2],
        share=_word(share),
    )
    for each in found:
        each.set_shape(mean[0].shape)
    return (found[0], found[1]), (found[2], found[3])


def relu(x: Any, most: float | None = None) -> Any:
    """max(x, 0), and no more than `most`; NaN stays NaN."""
    bound = _JUST_BEYOND_INFINITY if most is None else np.float16(most)
    y = _library().keras16_rectified(x=x, most=tf.constant(bound))
    y.set_shape(x.shape)
    return y


def _gradient_of_relu(op: Any, upstream: Any) -> list[Any]:
    return [_rectified_back(upstream, op.outputs[0], op.inputs[1]), None]


def _gradient_of_rectified_slopes(op: Any, upstream: Any) -> list[Any]:
    _, y, most = op.inputs
    return [_rectified_back(upstream, y, most), None, None]


def _rectified_back(slopes: Any, y: Any, most: Any) -> Any:
    x = _library().keras16_rectified_of_slopes(slopes=slopes, y=y, most=most)
    x.set_shape(y.shape)
    return x


def dropout(x: Any, rate: float, key: Any) -> Any:
    """X / (1 - rate) where it is kept, else 0.

    Args:
        x: float16 tensor.
        rate: Probability that an element is dropped, right to 2**-32; below 1.
        key: [2] int32, random.
    """
    numbers = np.array([min(round(rate * 2**32), 2**32 - 1)], np.uint32)
    scale = np.array([1 / (1 - rate)], np.float32)
    words = np.concatenate([numbers.view(np.int32), scale.view(np.int32)])
    return _dropped(x, key, tf.constant(words))


def _dropped(x: Any, key: Any, numbers: Any) -> Any:
    y = _library().keras16_dropped(x=x, key=key, numbers=numbers)
    y.set_shape(x.shape)
    return y


def _gradient_of_dropped(op: Any, upstream: Any) -> list[Any]:
    _, key, numbers = op.inputs
    return [_dropped(upstream, key, numbers), None, None]


def softmax(rows: Any) -> Any:
    """Softmax of each row of [n, length] float16, and its gradient, rounded once.

    A row of -inf alone gives 0, one with NaN or +inf nothing but NaN.
    """
    y = _library().keras16_softmax(x=rows)
    y.set_shape(rows.shape)
    return y


def _softmax_back(rows: Any, slopes: Any) -> Any:
    x = _library().keras16_softmax_of_slopes(x=rows, slopes=slopes)
    x.set_shape(rows.shape)
    return x


def _gradient_of_softmax(op: Any, upstream: Any) -> Any:
    return _softmax_back(op.inputs[0], upstream)


def _gradients_of_softmax_back(op: Any, upstream: Any) -> list[Any]:
    """Its matrix of slopes is symmetric; of its logits it is one of slopes again."""
    rows, slopes = op.inputs
    shares = softmax(rows)
    product = math.prod(g - last_axis_sum(shares * g, 1) for g in (slopes, upstream))
    return [_softmax_back(rows, product), _softmax_back(rows, upstream)]


def cross_entropies(ids: Any, logits: Any) -> tuple[Any, Any]:
    """Softmax cross-entropies of class ids; NaN where there is no such class.

    Args:
        ids: [...] int32.
        logits: [..., classes] float16.

    Returns:
        [...] float16 of magnitudes in [1, 2), and int32 exponents of two for them;
        neither has a gradient here.
    """
    found = _library().keras16_cross_entropies(
        logits=_rows(logits), ids=tf.reshape(ids, [-1])
    )
    return tuple(_one_a_row(logits, each) for each in found)


def cross_entropies_back(ids: Any, logits: Any, slopes: Any, exponents: Any) -> Any:
    """The gradient of the logits; the largest numbers in place of infinite ones.

    Args:
        ids: As of `cross_entropies`.
        logits: Likewise.
        slopes: That of the losses, [...] float16, times 2**exponent.
        exponents: Likewise, int32.
    """
    ids, slopes, exponents = (tf.reshape(a, [-1]) for a in (ids, slopes, exponents))
    found = _library().keras16_cross_entropies_of_slopes(
        logits=_rows(logits), ids=ids, slopes=slopes, exponents=exponents
    )
    found = tf.reshape(found, _lengths(logits, 0, len(logits.shape)))
    found.set_shape(logits.shape)
    return found


def _word(number: float) -> Any:
    """A number of the host as the word of its float32 bits, int32."""
    return tf.constant(np.float32(number).view(np.int32))


def accumulated(words: Any, x: Any, exponents: Any = None, count: Any = 1) -> Any:
    """An exact sum (`numerics.accumulators`), and so often that of a tensor.

    Args:
        words: [8] int32.
        x: float16 of any shape, each times 2**exponent.
        exponents: int32 of that shape; None for 0.
        count: int32 scalar, at least 0.

    Returns:
        [8] int32, carried.
    """
    total = _library().keras16_accumulated(
        words=words,
        x=x,
        exponents=tf.zeros((0,), tf.int32) if exponents is None else exponents,
        count=tf.cast(count, tf.int32),
    )
    total.set_shape(words.shape)
    return total


def table_entry(words: Any, step: Any, exact: int, octave: int) -> Any:
    """What a table of int32 words says of a step (`numerics.tables`): int32 scalar."""
    entry = _library().keras16_table_entry(
        entries=words, step=step, exact=exact, octave=octave
    )
    entry.set_shape(())
    return entry


def updated(
    optimizer: str,
    weights: Sequence[Any],
    gradients: Sequence[Any],
    slots: Sequence[Sequence[Any]],
    words: Sequence[Any],
) -> list[list[Any]]:
    """An optimizer's step for some variables, their slots rounded by chance.

    What is drawn for their elements is what is drawn for those of one vector of them
    all.

    Args:
        optimizer: Name of the operation; what its slots and words are, say structures
            of kernels.h: "adam", "rmsprop", "sgd" without momentum and
            "momentum" with one.
        weights: float16, one for each variable.
        gradients: Likewise, of their shapes.
        slots: Of each kind a tensor for each variable: float16 of its shape; the last
            of "momentum" are the powers of its velocities, int32 scalars.
        words: int32 scalars, floats as the words of their bits.

    Returns:
        [weights, *slots] after it.
    """
    operation = getattr(_library(), f"keras16_{optimizer}")
    step = tf.stack([tf.cast(word, tf.int32) for word in words])
    found = operation(weights, gradients, *slots, step)
    moved = list(found) if slots else [found]
    for after, before in zip(moved, (weights, *slots), strict=True):
        for one, other in zip(after, before, strict=True):
            one.set_shape(other.shape)
    return moved


def placed(
    length: Any, window: int, stride: int, dilation: int, padding: str
) -> tuple[Any, Any]:
    """How many windows there are along an axis, and the zeros before the first.

    Args:
        length: Of the axis: a number, or a tensor where it is not known yet.
        window: Of a convolution, along that axis.
        stride: Likewise.
        dilation: Likewise.
        padding: "valid" or "same".
    """
    reach = (window - 1) * dilation + 1
    if padding == "valid":
        windows = (length - reach) // stride + 1
        if isinstance(windows, int):
            return max(windows, 0), 0
        return tf.maximum(windows, 0), 0
    windows = -(-length // stride)
    zeros = (windows - 1) * stride + reach - length
    if isinstance(zeros, int):
        return windows, max(zeros, 0) // 2
    return windows, tf.maximum(zeros, 0) // 2


def _lengths(x: Any, first: int = 1, last: int = 3) -> list[Any]:
    """Lengths of some axes: numbers where they are known, tensors where not."""
    return [
        tf.shape(x)[axis] if x.shape[axis] is None else x.shape[axis]
        for axis in range(first, last)
    ]


def _known(length: Any) -> int | None:
    return length if isinstance(length, int) else None


def _geometry(numbers: Sequence[Any]) -> Any:
    """What kernels.h calls the rest of a convolution."""
    if all(isinstance(number, int) for number in numbers):
        return tf.constant(numbers, tf.int64)
    return tf.stack([tf.cast(number, tf.int64) for number in numbers])


def _convolved(x: Any, kernel: Any, geometry: Any) -> Any:
    return _library().keras16_convolution(x=x, kernel=kernel, geometry=geometry)


def _convolved_back(slopes: Any, kernel: Any, geometry: Any) -> Any:
    return _library().keras16_convolution_of_slopes(
        slopes=slopes, kernel=kernel, geometry=geometry
    )


def _kernel_gradient(x: Any, slopes: Any, geometry: Any) -> Any:
    return _library().keras16_kernel_gradient(x=x, slopes=slopes, geometry=geometry)


def _depthwise(x: Any, kernel: Any, geometry: Any) -> Any:
    return _library().keras16_depthwise(x=x, kernel=kernel, geometry=geometry)


def _depthwise_back(slopes: Any, kernel: Any, geometry: Any) -> Any:
    return _library().keras16_depthwise_of_slopes(
        slopes=slopes, kernel=kernel, geometry=geometry
    )


def _depthwise_kernel(x: Any, slopes: Any, geometry: Any) -> Any:
    return _library().keras16_depthwise_kernel_gradient(
        x=x, slopes=slopes, geometry=geometry
    )


def _of_convolution(
    names: Sequence[str], forth: _Rule, back: _Rule, of_kernel: _Rule
) -> dict[str, Any]:
    """The gradients of a convolution, of that of its images and of its kernel.

    All three are linear in both their inputs, and each other's transposes.
    """

    def of_forth(op: Any, upstream: Any) -> list[Any]:
        x, kernel, geometry = op.inputs
        slopes = back(upstream, kernel, geometry), of_kernel(x, upstream, geometry)
        return _like(op, *slopes)

    def of_back(op: Any, upstream: Any) -> list[Any]:
        slopes, kernel, geometry = op.inputs
        of_slopes = forth(upstream, kernel, geometry)
        return _like(op, of_slopes, of_kernel(upstream, slopes, geometry))

    def of_gradient(op: Any, upstream: Any) -> list[Any]:
        x, slopes, geometry = op.inputs
        given = back(slopes, upstream, geometry), forth(x, upstream, geometry)
        return _like(op, *given)

    return dict(zip(names, (of_forth, of_back, of_gradient), strict=True))


# Products are linear in both, too.


def _gradients_of_products(op: Any, upstream: Any) -> list[Any]:
    x, y = op.inputs
    return [_products_of_rows(upstream, y), _products_of_columns(x, upstream)]


def _gradients_of_rows(op: Any, upstream: Any) -> list[Any]:
    x, y = op.inputs
    return [products(upstream, y), _products_of_columns(upstream, x)]


def _gradients_of_columns(op: Any, upstream: Any) -> list[Any]:
    x, y = op.inputs
    return [_products_of_rows(y, upstream), products(x, upstream)]


def _gradients_of_sums(op: Any, upstream: Any) -> list[Any]:
    rows, over = op.inputs
    # Never a float of the count: it may be beyond the format.
    part = row_sums(upstream[None], over)
    return [tf.broadcast_to(part, tf.shape(rows)), None]


def _gradients_of_each(op: Any, upstream: Any) -> list[Any]:
    x, over = op.inputs
    part = tf.reshape(row_sums(tf.reshape(upstream, [1, -1]), over), tf.shape(upstream))
    return [tf.broadcast_to(part[:, None], tf.shape(x)), None]


def _gradients_along_rows(op: Any, upstream: Any) -> list[Any]:
    rows, over = op.inputs
    part = row_sums(upstream[None], over)
    return [tf.broadcast_to(part[:, None], tf.shape(rows)), None]


def _no_gradient_of_normalized_back(op: Any, *upstream: Any) -> None:
    raise no_second_derivative("batch normalization")


def _like(op: Any, *gradients: Any) -> list[Any]:
    """Gradients of the first two inputs, of their shapes; lengths have none."""
    for gradient, given in zip(gradients, op.inputs, strict=False):
        gradient.set_shape(given.shape)
    return [*gradients, None]


_GRADIENTS = {
    **_of_convolution(
        (_IMAGES, _BACK, _KERNEL), _convolved, _convolved_back, _kernel_gradient
    ),
    **_of_convolution(
        (_DEPTHWISE, _DEPTHWISE_BACK, _DEPTHWISE_KERNEL),
        _depthwise,
        _depthwise_back,
        _depthwise_kernel,
    ),
    _MEANS: _gradient_of_means,
    _MEANS_BACK: _gradient_of_means_back,
    _MAXIMA: _gradients_of_maxima,
    _MAXIMA_BACK: _gradients_to_maxima,
    _PRODUCTS: _gradients_of_products,
    _OF_ROWS: _gradients_of_rows,
    _OF_COLUMNS: _gradients_of_columns,
    _SUMS: _gradients_of_sums,
    _OF_EACH: _gradients_of_each,
    _ALONG: _gradients_along_rows,
    _RECTIFIED: _gradient_of_relu,
    _RECTIFIED_BACK: _gradient_of_rectified_slopes,
    _DROPPED: _gradient_of_dropped,
    _SOFTMAX: _gradient_of_softmax,
    _SOFTMAX_BACK: _gradients_of_softmax_back,
    _NORMALIZED_BACK: _no_gradient_of_normalized_back,
}
