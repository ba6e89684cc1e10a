"""Depthwise convolutions and their gradients without the kernels that are slow.

On a CPU, XLA takes a depthwise convolution for a full one whose kernel is mostly zeros:
for [64, 32, 32, 96] that is 100 times the time. TensorFlow's own gradients are as slow
with strides, and its float16 gradient of the kernel adds in float16, image by image: it
ends at 2,048. See docs/performance.md.

In a compiled step a convolution is a sum over the places of the window, one shifted
image times one row of the kernel each, which XLA makes one loop of. In a plain graph it
is the device's kernel, which accumulates wider. The gradient of the inputs is such a
convolution again, with the kernel turned around; with strides s it is s**2 smaller
ones, each with every s-th place of the kernel, whose results interlock.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections.abc import Callable
from typing import Any

from keras import ops

from keras16 import backend
from keras16.numerics import bits, extremes, once, reductions
from keras16.numerics.derivatives import by_hand, by_hand_once

Pair = tuple[int, int]

_MOST = 13  # log2 of what a kernel of about 1 is taken times, at most
_HIGHEST = 14  # log2 of the largest product in a sum for the kernel's gradient


@dataclasses.dataclass(frozen=True)
class Window:
    """Where the windows of a convolution lie; pairs are of rows and of columns.

    Attributes:
        size: Places of a window.
        strides: From one window to the next; where above 1, the dilation is 1.
        dilation: From one place of a window to the next.
        given: Rows and columns of the images.
        padding: "same" or "valid".
    """

    size: Pair
    strides: Pair
    dilation: Pair
    given: Pair
    padding: str

    @property
    def reach(self) -> Pair:
        """How far it is from the first to the last place of a window."""
        return _each(lambda k, d: (k - 1) * d, self.size, self.dilation)

    @property
    def results(self) -> Pair:
        """Rows and columns of the result."""
        if self.padding == "same":
            return _each(lambda n, s: -(-n // s), self.given, self.strides)
        return _each(
            lambda n, r, s: (n - r - 1) // s + 1, self.given, self.reach, self.strides
        )

    @property
    def before(self) -> Pair:
        """Rows and columns of zeros before the image."""
        if self.padding == "valid":
            return 0, 0
        return _each(lambda needed, n: max(needed - n, 0) // 2, self.needed, self.given)

    @property
    def needed(self) -> Pair:
        """Rows and columns that the windows see, zeros included."""
        return _each(
            lambda m, s, r: (m - 1) * s + r + 1, self.results, self.strides, self.reach
        )

    @property
    def is_known(self) -> bool:
        """Whether there is a result, and no more than TensorFlow's kernels can do.

        They want the same strides both ways, and no dilation beside them.
        """
        if min(self.results) < 1 or max(self.strides) > 1 < max(self.dilation):
            return False
        return self.is_row or all(
            rows == columns for rows, columns in (self.strides, self.dilation)
        )

    @property
    def is_row(self) -> bool:
        """Whether images and windows have a single row."""
        return self.given[0] == self.size[0] == 1


def convolved(x: Any, kernel: Any, window: Window, compiled: bool) -> Any:
    """A depthwise convolution.

    Args:
        x: [batch, rows, columns, channels] 16-bit; all but the batch known.
        kernel: [rows, columns, channels, multiplier] of the same dtype.
        window: Where its windows lie.
        compiled: Whether XLA compiles the step, on a CPU.

    Returns:
        [batch, rows, columns, channels x multiplier] of that dtype. In a compiled step
        within 4 units in the last place of the sum of the products' magnitudes, for
        windows of up to 49 places.
    """
    kernel = bits.read(kernel)
    own = backend.module().own_kernels(x, kernel)
    by_kernels = own is not None and kernel.shape[3] == 1
    differentiable = by_hand if by_kernels else by_hand_once("a depthwise convolution")

    @differentiable
    def convolve(x: Any, kernel: Any) -> Any:
        outputs = _convolution(compiled)(x, kernel, window)

        def backward(gradient: Any) -> Any:
            if compiled:
                gradient = once.computed(gradient)
            of_x = input_gradient(gradient, kernel, window, compiled)
            return of_x, kernel_gradient(x, gradient, kernel.shape, window, compiled)

        return outputs, backward

    return convolve(x, kernel)


def input_gradient(gradient: Any, kernel: Any, window: Window, compiled: bool) -> Any:
    """The gradient of a convolution's inputs.

    Args:
        gradient: [batch, rows, columns, channels x multiplier] 16-bit, of its results.
        kernel: [rows, columns, channels, multiplier] of that dtype.
        window: Where its windows lie.
        compiled: As of `convolved`.

    Returns:
        [batch, *window.given, channels] of that dtype.
    """
    channels, multiplier = kernel.shape[2:]
    flat = ops.reshape(kernel, (*window.size, channels * multiplier, 1))
    own = backend.module().own_kernels(gradient, flat)
    if own is None:
        wide = _turned(gradient, flat, window, compiled)
    else:
        wide = own.depthwise_of_slopes(gradient, flat, window)
    wide = once.computed(wide) if compiled else wide
    if multiplier == 1:
        return wide
    parts = ops.reshape(wide, (-1, *window.given, channels, multiplier))
    return ops.squeeze(reductions.last_axis_sum(parts), -1)


def _turned(gradient: Any, kernel: Any, window: Window, compiled: bool) -> Any:
    """The gradient of the inputs where each has one output channel."""
    even = all(reach % 2 == 0 for reach in window.reach)
    if window.padding == "same" and max(window.strides) == 1 and even:
        return _convolution(compiled)(gradient, ops.flip(kernel, (0, 1)), window)
    wide = _interlocked(gradient, kernel, window, compiled)
    (top, left), (height, width) = window.before, window.given
    return wide[:, top : top + height, left : left + width]


def _interlocked(gradient: Any, kernel: Any, window: Window, compiled: bool) -> Any:
    """The gradient of the padded inputs from their first row and column on."""
    down, across = window.strides
    lengths = _each(
        lambda n, b, s: -(-(n + b) // s), window.given, window.before, window.strides
    )
    convolve = functools.partial(
        _every, gradient, lengths, window, _convolution(compiled)
    )
    parts = [
        [convolve(kernel[row::down, column::across]) for column in range(across)]
        for row in range(down)
    ]
    return interlocked(parts, lengths)


def interlocked(parts: list[list[Any]], lengths: Pair) -> Any:
    """Images of which each holds every s-th row and column, as one.

    Args:
        parts: By the first row and the first column that they hold.
        lengths: Rows and columns of each part.
    """
    rows = [_beside(row, lengths) for row in parts]
    return _below(rows, lengths[0], lengths[1] * len(parts[0]))


def _beside(parts: list[Any], lengths: Pair) -> Any:
    """Images of which each holds every s-th column, as one."""
    if len(parts) == 1:
        return parts[0]
    # Side by side as channels they lie in memory as they shall.
    wide = ops.concatenate(parts, axis=-1)
    columns = lengths[1] * len(parts)
    return ops.reshape(wide, (-1, lengths[0], columns, parts[0].shape[-1]))


def _below(parts: list[Any], rows: int, columns: int) -> Any:
    """Images of which each holds every s-th row, as one."""
    if len(parts) == 1:
        return parts[0]
    channels = parts[0].shape[-1]
    flat = [ops.reshape(part, (-1, rows, columns * channels)) for part in parts]
    wide = ops.concatenate(flat, axis=-1)
    return ops.reshape(wide, (-1, rows * len(parts), columns, channels))


def _every(
    gradient: Any,
    lengths: Pair,
    window: Window,
    convolve: Callable[..., Any],
    kernel: Any,
) -> Any:
    """What some places of a kernel give back, [batch, *lengths, channels]."""
    size = tuple(kernel.shape[:2])
    if 0 in size:  # no window reaches there
        zeros = ops.zeros_like(gradient[:, :1, :1])
        return ops.tile(zeros, (1, *lengths, 1))
    before = _each(lambda k, d: (k - 1) * d, size, window.dilation)
    after = _each(lambda length, m: length - m, lengths, window.results)
    seen = padded(gradient, before, after)
    turned = Window(size, (1, 1), window.dilation, tuple(seen.shape[1:3]), "valid")
    return convolve(seen, ops.flip(kernel, (0, 1)), turned)


def _convolution(compiled: bool) -> Callable[..., Any]:
    """The one without gradients of its own."""
    return by_places if compiled else _by_kernel


def padded(x: Any, before: Pair, after: Pair) -> Any:
    """Zeros around images; fewer than none cut rows or columns off."""
    keep = tuple(n + min(a, 0) for n, a in zip(x.shape[1:3], after, strict=True))
    x = x[:, : keep[0], : keep[1]]
    zeros = [(b, max(a, 0)) for b, a in zip(before, after, strict=True)]
    return ops.pad(x, ((0, 0), *zeros, (0, 0))) if any(map(any, zeros)) else x


def _seen(x: Any, window: Window) -> Any:
    """What the windows see of the images, zeros included."""
    after = _each(
        lambda needed, n, b: needed - n - b, window.needed, window.given, window.before
    )
    return padded(x, window.before, after)


def _by_kernel(x: Any, kernel: Any, window: Window) -> Any:
    """The convolution by the device's kernel."""
    own = backend.module().own_kernels(x, kernel)
    if own is not None and kernel.shape[3] == 1:
        return own.depthwise(x, kernel, window)
    return ops.depthwise_conv(
        x,
        kernel,
        strides=max(window.strides),  # of a single row any will do
        padding=window.padding,
        data_format="channels_last",
        dilation_rate=window.dilation,
    )


def by_places(x: Any, kernel: Any, window: Window) -> Any:
    """The convolution as a sum over the places of the window: one loop of XLA's.

    Powers of two keep the sums from the ends of the format: one for all images, and
    one for each channel of the kernel.

    Args: as of `convolved`, which has the gradients.
    """
    channels, multiplier = kernel.shape[2:]
    places = math.prod(window.size)
    form = bits.format_of(x)
    largest = ops.max(ops.abs(kernel), axis=(0, 1), keepdims=True)
    scale = bits.scale_to_one(largest)  # what it brings to 1 is below 2
    exponent = form.bias - 2 - reductions.exponent_of_count(places) - _exponent(x)
    exponent = ops.clip(exponent, 1 - form.bias, _MOST)
    weights = bits.rounded(kernel * scale)
    weights = weights * bits.power_of_two(exponent, bits.name_of(x))
    weights = ops.reshape(weights, (places, channels * multiplier))
    seen = once.computed(_seen(x, window))
    total = _tree(
        [
            _repeated(image, multiplier) * weights[place]
            for place, image in _at_places(seen, window)
        ]
    )
    back = form.bias - bits.biased_exponent(scale) - exponent
    return once.computed(_times(total, ops.reshape(back, (channels * multiplier,))))


def _times(x: Any, exponent: Any) -> Any:
    """X times 2**exponent, in two steps: the power alone may leave the format."""
    half = ops.right_shift(exponent, 1)
    dtype = bits.name_of(x)
    return (
        x * bits.power_of_two(half, dtype) * bits.power_of_two(exponent - half, dtype)
    )


def _at_places(seen: Any, window: Window) -> Any:
    """(number, what each window holds there) for each place, row by row."""
    starts = [
        (row * window.dilation[0], column * window.dilation[1])
        for row in range(window.size[0])
        for column in range(window.size[1])
    ]
    return enumerate(_strided(seen, start, window) for start in starts)


def _strided(x: Any, start: Pair, window: Window) -> Any:
    """[batch, rows, columns, channels]: one number of each window."""
    ends = _each(
        lambda a, m, s: a + (m - 1) * s + 1, start, window.results, window.strides
    )
    down, across = window.strides
    return x[:, start[0] : ends[0] : down, start[1] : ends[1] : across]


def _repeated(images: Any, multiplier: int) -> Any:
    return images if multiplier == 1 else ops.repeat(images, multiplier, axis=-1)


def _tree(terms: list[Any]) -> Any:
    """Their sum, two and two: of n terms none is rounded more than log2(n) times."""
    while len(terms) > 1:
        pairs = [terms[i : i + 2] for i in range(0, len(terms), 2)]
        terms = [functools.reduce(operator.add, pair) for pair in pairs]
    return terms[0]


def kernel_gradient(
    x: Any, gradient: Any, shape: Any, window: Window, compiled: bool
) -> Any:
    """The gradient of a convolution's kernel.

    The products are first brought to where they neither overflow nor vanish.

    Args:
        x: [batch, rows, columns, channels] 16-bit.
        gradient: [batch, rows, columns, channels x multiplier], of the results.
        shape: Of the kernel, [rows, columns, channels, multiplier].
        window: Where its windows lie.
        compiled: As of `convolved`.

    Returns:
        [*shape] of that dtype: sums that are accumulated wider and rounded once or
        twice.
    """
    own = backend.module().own_kernels(x, gradient)
    if own is not None and shape[3] == 1:
        return own.depthwise_kernel_gradient(x, gradient, window)
    if not compiled and bits.name_of(x) == "bfloat16":  # oneDNN has a kernel for it
        return backend.module().pullback(
            lambda kernel: _by_kernel(x, kernel, window), tuple(shape), gradient
        )
    places = 0 if compiled else reductions.exponent_of_count(math.prod(window.results))
    exponent = _room(x, gradient, _HIGHEST - places)
    gradient = gradient * bits.power_of_two(exponent, bits.name_of(x))
    sums = _by_rows if compiled else _by_images
    part, shrunk = sums(x, gradient, shape, window)
    return ops.reshape(bits.times_power_of_two(part, shrunk - exponent), shape)


def _room(x: Any, gradient: Any, highest: int) -> Any:
    """The exponent that brings the largest products of two tensors to 2**highest.

    A normal number's, int32, and one that `gradient` itself bears.
    """
    of_x, of_gradient = _exponent(x), _exponent(gradient)
    form = bits.format_of(x)
    most = ops.minimum(form.bias - of_gradient - 1, form.bias)
    exponent = ops.minimum(highest - of_x - of_gradient, most)
    return ops.maximum(exponent, 1 - form.bias)


def _exponent(x: Any) -> Any:
    """The exponent of a power of two above all elements, int32 scalar."""
    form = bits.format_of(x)
    # Image by image first: that is what XLA is fast at.
    largest = extremes.magnitude(extremes.magnitude(x, 0))
    return bits.biased_exponent(largest) - form.bias + 1


def _by_rows(x: Any, gradient: Any, shape: Any, window: Window) -> tuple[Any, Any]:
    """The sums as one product of a row for each place of the window.

    Returns:
        (part, exponent): [places, channels x multiplier], times 2**exponent.
    """
    channels, multiplier = gradient.shape[-1], shape[3]
    gradient = once.computed(gradient)
    seen = once.computed(_seen(x, window))
    count = ops.shape(x)[0] * math.prod(window.results)
    exponent = reductions.exponent_of_count(count)
    sums = []
    for _, image in _at_places(seen, window):
        product = ops.reshape(_repeated(image, multiplier) * gradient, (-1, channels))
        sums.append(reductions.weighted_row_sum(product, exponent))
    return ops.stack(sums), exponent


def _by_images(x: Any, gradient: Any, shape: Any, window: Window) -> tuple[Any, Any]:
    """The sums over places as a convolution, those over images as a product.

    All channels of all images lie side by side, and the gradient is their kernel. Its
    places are as far apart as the windows are, and its windows as the places were.

    Returns:
        As of `_by_rows`.
    """
    batch = ops.shape(x)[0]
    seen = ops.transpose(_seen(x, window), (1, 2, 0, 3))
    seen = ops.reshape(seen, (1, *window.needed, -1))
    turned = ops.transpose(gradient, (1, 2, 0, 3))
    turned = ops.reshape(turned, (*window.results, -1, shape[3]))
    sums = _by_kernel(
        seen,
        turned,
        Window(window.results, window.dilation, window.strides, window.needed, "valid"),
    )
    rows = ops.reshape(sums, (math.prod(shape[:2]), batch, shape[2] * shape[3]))
    return reductions.shrunk_sum(rows, axis=1)


def _each(function: Callable[..., int], *pairs: Any) -> Pair:
    """What a function makes of the rows' numbers, and of the columns'."""
    rows, columns = (function(*numbers) for numbers in zip(*pairs, strict=True))
    return rows, columns
