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
from keras16.bounds import _step
from keras16.bounds._step import UNIT, WIDE

DRAWS = 3
# Our own kernels add up four products of parts for each, whose magnitudes come to
# (1 + 2**-8)**2 of its own: as if each sum were rounded so many times.
OF_PARTS = 4.1
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
    activation, layer.activation = layer.activation, keras.activations.linear
    try:
        config = layer.get_config()
    finally:
        layer.activation = activation
    for name in config:
        if name.endswith(("_regularizer", "_constraint")):
            config[name] = None
        elif name.endswith("_initializer"):
            config[name] = "zeros"
    copy = type(layer).from_config(config)
    copy.build(shape)
    return copy


def _wide() -> float:
    """A GPU's float32 accumulator may cut instead of rounding."""
    module = backend.module()
    if module.has_gpu():
        return 2 * WIDE
    own = module.own_kernels(_tensor(np.zeros(1), "float16"))
    return WIDE if own is None else OF_PARTS * WIDE


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
    few = [_few(draws, *shapes, number / terms, 2047, 511) for number in numbers]
    wide += _scaled(few, 2.0**-9)  # so that no sum is an infinity
    # Few and small numbers fit both; then such that the results are subnormal.
    small = [_few(draws, *shapes, 0.1 / terms, 511, 1) for _ in numbers]
    tiny = _scaled(small, 2.0**-24)
    if not all(_is_exact(layer, product, *draw) for draw in small + tiny):
        return None
    if all(_is_exact(layer, product, *draw) for draw in wide):
        return _wide()
    if terms > 2**10 or backend.module().has_gpu():
        return None
    narrow = [_counting(draws, *shapes, terms) for _ in numbers]
    return UNIT if all(_is_exact(layer, product, *one) for one in narrow) else None


def _many(
    draws: np.random.Generator,
    shape: tuple[int, ...],
    kernel_shape: tuple[int, ...],
    largest: float,
) -> Draw:
    """Whole numbers whose products go up to `largest`.

    With n terms, products of 2e4 / sqrt(n) make sums far beyond 11 bits on the way to
    one that is no infinity.
    """
    most = max(int(math.sqrt(largest)), 1)
    x, kernel = (draws.integers(-most, most + 1, one) for one in (shape, kernel_shape))
    return x, kernel


def _counting(
    draws: np.random.Generator,
    shape: tuple[int, ...],
    kernel_shape: tuple[int, ...],
    terms: int,
) -> Draw:
    """Whole numbers whose sums grow to between 2**9 and 2**11: 11 bits hold each."""
    most = 2**11 // terms
    kernel = draws.integers((most + 1) // 2, most + 1, kernel_shape)
    return np.ones(shape), kernel


def _few(
    draws: np.random.Generator,
    shape: tuple[int, ...],
    kernel_shape: tuple[int, ...],
    share: float,
    of_inputs: int,
    of_kernel: int,
) -> Draw:
    """Large products, few of them to a sum: all inputs but a share are 0."""
    x = draws.integers(-of_inputs, of_inputs + 1, shape)
    kernel = draws.integers(-of_kernel, of_kernel + 1, kernel_shape)
    return x * (draws.random(shape) < share), kernel


def _scaled(several: list[Draw], power: float) -> list[Draw]:
    return [(x, kernel * power) for x, kernel in several]


def _is_exact(
    layer: Any, product: Callable[..., Any], x: np.ndarray, kernel: np.ndarray
) -> bool:
    """Whether a layer gives what float32 gives, rounded once.

    Where a sum is too large to be exact in float32, the two need not agree, and the
    answer is no.
    """
    layer.kernel.assign(kernel)
    narrow = layer(_tensor(x, "float16"))
    with _step.on_host():
        wide = product(_tensor(x, "float32"), _tensor(kernel, "float32"))
    with np.errstate(over="ignore"):
        exact = np.asarray(keras.ops.convert_to_numpy(wide)).astype("float16")
    return np.array_equal(np.asarray(keras.ops.convert_to_numpy(narrow)), exact)


def _tensor(values: np.ndarray, dtype: str) -> Any:
    return keras.ops.convert_to_tensor(values.astype(dtype))
