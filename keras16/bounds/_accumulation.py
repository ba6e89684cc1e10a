"""How a kernel accumulates, asked of the kernel itself.

Whole numbers tell: where every product and every sum of them is a whole number below
2**24, a float32 accumulator makes no error in any order, and the result is the exact
sum, rounded once. A float16 accumulator, products that are rounded, inputs that are cut
to fewer bits, or a transformed convolution give something else. So do numbers below
2**11 for one of float16.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras16 import backend
from keras16.bounds._step import UNIT, WIDE

DRAWS = 3
_found: dict[tuple[Any, ...], float | None] = {}

Draw = tuple[np.ndarray, np.ndarray]


def unit(
    layer: Any, product: Callable[..., Any], shape: tuple[int, ...], terms: int
) -> float | None:
    """Unit roundoff with which a layer's kernel adds up its products.

    Args:
        layer: Dense or a convolution, in float16.
        product: Its product as a function of inputs and kernel, of any dtype.
        shape: Of its inputs, [n, ...].
        terms: How many products it adds up for one output.

    Returns:
        That of float32, that of float16, or None: neither could be established.
    """
    key = _key(layer, shape)
    if key not in _found:
        _found[key] = _asked(_copy(layer, shape), product, shape, terms)
    return _found[key]


def _copy(layer: Any, shape: tuple[int, ...]) -> Any:
    """A layer of the same settings, without an activation, whose bias is 0."""
    copy = type(layer).from_config(layer.get_config())
    copy.build(shape)
    copy.activation = None
    if copy.bias is not None:
        copy.bias.assign(keras.ops.zeros_like(copy.bias))
    return copy


def _wide() -> float:
    """A GPU's float32 accumulator may cut instead of rounding."""
    return 2 * WIDE if backend.module().has_gpu() else WIDE


def _key(layer: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    kinds = ("strides", "padding", "dilation_rate", "data_format", "equation", "groups")
    settings = tuple(str(getattr(layer, kind, None)) for kind in kinds)
    cls = next(c for c in type(layer).__mro__ if c.__module__.startswith("keras.src"))
    return (cls.__name__, shape, tuple(layer.kernel.shape), settings)


def _asked(
    layer: Any, product: Callable[..., Any], shape: tuple[int, ...], terms: int
) -> float | None:
    draws = np.random.default_rng(0)
    shapes = shape, tuple(layer.kernel.shape)
    numbers = range(1, DRAWS + 1)
    typical = 2e4 / math.sqrt(terms)
    wide = [_many(draws, *shapes, typical) for _ in numbers]
    wide += [_few(draws, *shapes, number) for number in numbers]
    if all(_is_exact(layer, product, *draw) for draw in wide):
        return _wide()
    narrow = [
        _many(draws, *shapes, 2**11 / terms, lowest)
        for lowest in (-1, 0)
        for _ in numbers
    ]
    exact = terms <= 2**11 and all(_is_exact(layer, product, *one) for one in narrow)
    return UNIT if exact and not backend.module().has_gpu() else None


def _many(
    draws: np.random.Generator,
    shape: tuple[int, ...],
    kernel_shape: tuple[int, ...],
    largest: float,
    lowest: int = -1,
) -> Draw:
    """Whole numbers whose products go up to `largest`.

    With n terms, products of 2e4 / sqrt(n) make sums far beyond 11 bits on the way to
    one that is no infinity; those of 2**11 / n never one beyond 11 bits.
    """
    most = max(int(math.sqrt(largest)), 1)
    sizes = (shape, kernel_shape)
    x, kernel = (draws.integers(lowest * most, most + 1, size) for size in sizes)
    return x, kernel


def _few(
    draws: np.random.Generator,
    shape: tuple[int, ...],
    kernel_shape: tuple[int, ...],
    number: int,
) -> Draw:
    """Products of 22 bits, few of them to a sum: most inputs are 0."""
    x = draws.integers(-2047, 2048, shape)
    chosen = draws.random(shape[1:]) < number / max(math.prod(shape[1:]), 1)
    return x * chosen, draws.integers(-2047, 2048, kernel_shape) / 1024


def _is_exact(
    layer: Any, product: Callable[..., Any], x: np.ndarray, kernel: np.ndarray
) -> bool:
    """Whether a layer gives what float32 gives, rounded once.

    Where a sum is too large to be exact in float32, the two need not agree, and the
    answer is no.
    """
    layer.kernel.assign(kernel)
    narrow = layer(_tensor(x, "float16"))
    wide = product(_tensor(x, "float32"), _tensor(kernel, "float32"))
    with np.errstate(over="ignore"):
        exact = np.asarray(keras.ops.convert_to_numpy(wide)).astype("float16")
    return np.array_equal(np.asarray(keras.ops.convert_to_numpy(narrow)), exact)


def _tensor(values: np.ndarray, dtype: str) -> Any:
    return keras.ops.convert_to_tensor(values.astype(dtype))
