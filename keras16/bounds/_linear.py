"""Dense layers and convolutions: sums of products, accumulated in a kernel.

With S = |W| |x|, n terms to a sum and an accumulator of unit roundoff a, a kernel is
off by n a / (1 - n a) S in whatever order it adds (Higham, Accuracy and Stability of
Numerical Algorithms, section 4.2), rounds the result once to 16 bits, adds the bias and
rounds once more. What its accumulator is, is asked of the kernel itself: see
`_accumulation`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import layers, ops

from keras16.bounds import _accumulation
from keras16.bounds._record import values
from keras16.bounds._step import (
    SMALLEST,
    UNIT,
    WIDE,
    Array,
    Step,
    combined,
    on_host,
    transposed,
)

Product = Callable[[Any, Any], Any]


def step(layer: Any, x: Array, error: Array, y: Array) -> Step | None:
    """The step of a layer without its activation; None where nothing can be proven.

    Args:
        layer: With a `kernel`, and perhaps a `bias`.
        x: [n, ...] float64, what it was given.
        error: The bound on that.
        y: [n, ...] float64, what it gave.
    """
    product = _product(layer)
    if product is None:
        return None
    kernel = values(layer.kernel)
    terms = _terms(layer, kernel)
    unit = _accumulation.unit(layer, product, x.shape, terms)
    if unit is None or (terms + 1) * unit > 2.0**-2:
        return None
    magnitude = np.abs(kernel)
    moved = _bounded(product, error, magnitude, terms)
    sums = _bounded(product, x, magnitude, terms)
    # One more than terms: a float16 kernel may round the products as well.
    share = (terms + 1) * unit / (1 - (terms + 1) * unit)
    tiny = 2 * terms * SMALLEST if unit == UNIT else 0.0
    local = share * sums + tiny + _rounded(layer, y)
    narrow = kernel.astype("float32")
    pull = transposed(lambda one: product(one, narrow), x.shape)
    return combined(moved, local, pull, terms)


def _rounded(layer: Any, y: Array) -> Array:
    """At most what the one or two roundings of the result come to."""
    last = UNIT * np.abs(y) + SMALLEST
    bias = getattr(layer, "bias", None)
    if bias is None:
        return last
    # The sum before the bias was added, which nobody has seen.
    before = np.abs(y - values(bias)) + last
    return last + UNIT * before + SMALLEST


def _bounded(product: Product, x: Array, magnitude: Array, terms: int) -> Array:
    """At least |x| times the magnitude of the kernel, in float32."""
    up = np.abs(x).astype("float32") * np.float32(1 + 2 * WIDE)
    with on_host():
        result = values(product(up, magnitude.astype("float32")))
    return result * (1 + 2 * (terms + 2) * WIDE)


def _product(layer: Any) -> Product | None:
    """The layer's product as a function of inputs and kernel."""
    if isinstance(layer, layers.EinsumDense):
        return functools.partial(ops.einsum, layer.equation)
    if isinstance(layer, layers.Dense):
        return ops.matmul
    if isinstance(layer, (layers.DepthwiseConv1D, layers.DepthwiseConv2D)):
        return functools.partial(_convolved, layer, ops.depthwise_conv)
    if isinstance(layer, (layers.Conv1D, layers.Conv2D, layers.Conv3D)):
        return functools.partial(_convolved, layer, ops.conv)
    return None


def _convolved(layer: Any, convolve: Callable[..., Any], x: Any, kernel: Any) -> Any:
    padding = layer.padding
    if padding == "causal":
        reach = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
        x, padding = ops.pad(x, ((0, 0), (reach, 0), (0, 0))), "valid"
    strides = layer.strides
    if convolve is ops.depthwise_conv:
        strides = strides[0] if len(set(strides)) == 1 else tuple(strides)
    return convolve(
        x,
        kernel,
        strides=strides,
        padding=padding,
        data_format=layer.data_format,
        dilation_rate=layer.dilation_rate,
    )


def _terms(layer: Any, kernel: Array) -> int:
    """How many products make one output, at most."""
    if isinstance(layer, layers.EinsumDense):
        given, result = layer.equation.split("->")
        letters = given.split(",")[1]
        sizes = dict(zip(letters, kernel.shape, strict=True))
        return math.prod(size for one, size in sizes.items() if one not in result)
    if isinstance(layer, (layers.DepthwiseConv1D, layers.DepthwiseConv2D)):
        return math.prod(kernel.shape[:-2])
    return math.prod(kernel.shape[:-1])
