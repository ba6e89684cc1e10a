"""Sums and their errors, software floating point, accumulators, chance."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from keras16 import backend
from keras16.exactness._row import (
    Found,
    Row,
    found_worst,
    last_place,
    share_off,
    units_off,
    wide,
    worst,
)
from keras16.numerics import accumulators, noise, norms, rounding, softfloat
from keras16.numerics.softfloat import SoftFloat

COUNT = 50_000
DRAWS = 100_000


def every_float16() -> np.ndarray:
    """All finite numbers of float16, zero of either sign among them."""
    numbers = np.arange(1 << 16, dtype="uint16").view("float16")
    return numbers[np.isfinite(numbers)]


def of_every_kind(seed: int, count: int = COUNT) -> np.ndarray:
    """Finite float16 numbers drawn as bits: subnormals and the largest among them."""
    return np.random.default_rng(seed).choice(every_float16(), count)


# Error-free sums


def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Each of the 128 largest and 128 smallest numbers with any, in both orders."""
    every = every_float16()
    positive = every[every > 0]
    ends = np.concatenate([positive[-128:], positive[:128]])
    some, any_ = np.repeat(ends, len(every)), np.tile(every, len(ends))
    return np.concatenate([some, any_]), np.concatenate([any_, some])


def wrong_pairs(two_sum: Callable[..., Any], compiled: bool) -> Found:
    """How many finite sums and their errors do not add up to the exact sum."""
    function = backend.module().Function(two_sum, compiled)
    a, b = pairs()
    total, error = function(a, b)
    with np.errstate(invalid="ignore"):
        wrong = wide(total) + wide(error) != wide(a) + wide(b)
    return Found(int(np.sum(wrong & np.isfinite(total))), function.wide)


def knuth(a: Any, b: Any) -> tuple[Any, Any]:
    """The textbook's two_sum (Knuth, vol. 2, section 4.2.2, theorem B)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def product_pairs(two_sum: Callable[..., Any], compiled: bool) -> Found:
    """The same of a + k x q, the product made beside the sum."""
    random = np.random.default_rng(7)
    a, k, q = (random.normal(0, 1, COUNT).astype("float16") for _ in range(3))
    function = backend.module().Function(lambda a, k, q: two_sum(a, k * q), compiled)
    total, error = function(a, k, q)
    wrong = wide(total) + wide(error) != wide(a) + wide(k * q)
    return Found(int(np.sum(wrong)), function.wide)


def kahan(compiled: bool) -> Found:
    """A weight, what it leaves out and an addend, against their exact sum."""
    weight, step = of_every_kind(1), of_every_kind(2)
    random = np.random.default_rng(0)
    exponent = random.integers(-30, 4, COUNT).astype("int32")
    fraction = random.integers(-32767, 32768, COUNT).astype("int16")

    def add(weight: Any, fraction: Any, step: Any, exponent: Any) -> Any:
        addend = softfloat.of(step).times_power_of_two(exponent)
        total = softfloat.of(weight, fraction) + addend
        return total.rounded_with_fraction("float16")

    function = backend.module().Function(add, compiled)
    found, left = function(weight, fraction, step, exponent)
    kept = np.isfinite(found)
    addend = wide(step) * 2.0**exponent
    exact = wide(weight) + fraction * last_place(weight) * 2.0**-16 + addend
    largest = np.max(np.abs([exact, wide(weight), addend]), axis=0)
    whole = wide(found) + left * last_place(found) * 2.0**-16
    off = np.abs(whole - exact)[kept] / last_place(largest)[kept]
    return Found(worst(off), function.wide)


def plain_addition(compiled: bool) -> Found:
    """What float16 makes of weight + addend, in the same unit."""
    weight, step = of_every_kind(1), of_every_kind(2)
    exponent = np.random.default_rng(0).integers(-30, 4, COUNT)
    with np.errstate(over="ignore", under="ignore"):
        addend = (wide(step) * 2.0**exponent).astype("float16")
    function = backend.module().Function(lambda a, b: a + b, compiled)
    (found,) = function(weight, addend)
    exact = wide(weight) + wide(step) * 2.0**exponent
    kept = np.isfinite(found) & np.isfinite(addend)
    largest = np.max(np.abs([exact, wide(weight), wide(addend)]), axis=0)
    return Found(
        worst(np.abs(found - exact)[kept] / last_place(largest)[kept]), function.wide
    )


# Software floating point

OPERATIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any], str, float]] = {
    "sum": (lambda a, b: a + b, np.add, "2**-27 of the larger addend", 1.0),
    "product": (lambda a, b: a * b, np.multiply, "share of it", 0.0),
    "quotient": (lambda a, b: a / b, np.divide, "2**-10 of it", 1.0),
    "root": (lambda a, b: abs(a).root(), None, "2**-14 of it", 1.0),  # type: ignore[dict-item]
}
SCALES = {"sum": 2.0**27, "product": 1.0, "quotient": 2.0**10, "root": 2.0**14}


def soft(name: str, compiled: bool) -> Found:
    """An operation of `SoftFloat` on two streams of all kinds of numbers."""
    a, b = of_every_kind(1), of_every_kind(2)
    b = np.where(b == 0, np.float16(1), b)

    def operate(a: Any, b: Any) -> Any:
        found: SoftFloat = OPERATIONS[name][0](softfloat.of(a), softfloat.of(b))
        return found.units, found.exponent

    function = backend.module().Function(operate, compiled)
    units, exponent = function(a, b)
    return Found(_soft_error(name, wide(units) * 2.0**exponent, a, b), function.wide)


def hard(name: str, compiled: bool) -> Found:
    """The same operation in float16."""
    a, b = of_every_kind(1), of_every_kind(2)
    b = np.where(b == 0, np.float16(1), b)
    operate = OPERATIONS[name][0]
    if name == "root":
        operate = _root
    function = backend.module().Function(operate, compiled)
    (found,) = function(a, b)
    return Found(_soft_error(name, found, a, b), function.wide)


def _root(a: Any, b: Any) -> Any:
    return ops.sqrt(ops.abs(a))


def _soft_error(name: str, found: Any, a: np.ndarray, b: np.ndarray) -> float:
    a, b = wide(a), wide(b)
    exact = np.sqrt(np.abs(a)) if name == "root" else OPERATIONS[name][1](a, b)
    if name != "sum":
        return share_off(found, exact) * SCALES[name]
    largest = np.maximum(np.maximum(np.abs(a), np.abs(b)), 2.0**-24)
    return worst(np.abs(wide(found) - exact) / largest * SCALES[name])


# Chance


def bias(compiled: bool) -> Found:
    """How far the mean of many roundings is from what was rounded.

    Of 1 + x by shares of a last place from 1/2 to 2**-10, each 100,000 times.
    """

    def add(step: Any, exponent: Any, count: Any) -> Any:
        addend = softfloat.of(step).times_power_of_two(exponent)
        random = noise.drawn((DRAWS,), noise.key(0, 0), count)
        total = softfloat.number(1.0).plus(addend, noise.again(random))
        return total.rounded("float16", random)

    function = backend.module().Function(add, compiled)
    errors = []
    for place, share in enumerate((0.5, 0.3, 0.73 / 8, 0.9 / 128, 0.7 / 1024)):
        step, exponent = np.frexp(share * 2.0**-10)
        step = np.full(DRAWS, step, "float16")
        (found,) = function(step, np.int32(exponent), np.int32(place))
        chance = float(step[0]) * 2.0**exponent * 2.0**10
        moved = (wide(found) - 1) * 2.0**10
        deviation = np.sqrt(chance * (1 - chance) / DRAWS)
        errors.append(abs(moved.mean() - chance) / deviation)
    return found_worst(errors, function)


# Exact sums


def exact_sum(compiled: bool) -> Found:
    """Every float16 and 2**18 numbers more, added as integers."""
    x = np.concatenate([every_float16(), of_every_kind(3, 1 << 18)])
    function = backend.module().Function(accumulators.total, compiled)
    (words,) = function(x)
    exact = int(np.sum(np.round(wide(x) * 2.0**24).astype(object)))
    return Found(
        abs(accumulators.to_float(words) * 2.0**24 - float(exact)), function.wide
    )


def plain_sum(compiled: bool) -> Found:
    """The same by `keras.ops.sum`."""
    x = np.concatenate([every_float16(), of_every_kind(3, 1 << 18)])
    function = backend.module().Function(lambda x: ops.sum(x), compiled)
    (found,) = function(x)
    return Found(worst([abs(float(found) - wide(x).sum()) * 2.0**24]), function.wide)


def hypotenuse(compiled: bool) -> Found:
    """Sqrt(a**2 + b**2) of magnitudes of all kinds."""
    return _hypotenuse(norms.hypot, compiled)


def plain_hypotenuse(compiled: bool) -> Found:
    """The same as it is written."""
    return _hypotenuse(lambda a, b: ops.sqrt(a * a + b * b), compiled)


def _hypotenuse(hypot: Callable[..., Any], compiled: bool) -> Found:
    a, b = np.abs(of_every_kind(4)), np.abs(of_every_kind(5))
    function = backend.module().Function(hypot, compiled)
    (found,) = function(a, b)
    return Found(units_off(found, np.hypot(wide(a), wide(b))), function.wide)


ROWS = (
    Row(
        "two_sum",
        "each of the 128 largest and 128 smallest numbers with every float16, in "
        "both orders (beside: Knuth's)",
        "finite pairs that are wrong",
        0,
        functools.partial(wrong_pairs, rounding.two_sum),
        functools.partial(wrong_pairs, knuth),
        "test_rounding.py",
    ),
    Row(
        "two_sum of a product",
        "50,000 a + k q, the product made in the same step (beside: Knuth's)",
        "pairs that are wrong",
        0,
        functools.partial(product_pairs, rounding.two_sum),
        functools.partial(product_pairs, knuth),
        "test_rounding.py",
    ),
    *(
        Row(
            f"SoftFloat {name}",
            "50,000 pairs of any float16 (beside: float16's own)",
            unit,
            bound,
            functools.partial(soft, name),
            functools.partial(hard, name),
            "test_softfloat.py",
        )
        for name, (_, _, unit, bound) in OPERATIONS.items()
    ),
    Row(
        "Kahan's sum",
        "50,000 weights and addends of any size (beside: a + b)",
        "ulp of the largest of both and the sum",
        1.5 * 2.0**-16,
        kahan,
        plain_addition,
        "test_optimizer_rounding.py",
    ),
    Row(
        "stochastic rounding",
        "100,000 roundings of 1 + x, x from 1/2 to 2**-10 of a last place",
        "standard errors of the mean",
        4,
        bias,
        None,
        "test_optimizer_rounding.py",
    ),
    Row(
        "hypotenuse",
        "50,000 pairs of any float16",
        "ulp",
        2,
        hypotenuse,
        plain_hypotenuse,
        "test_rounding.py",
    ),
    Row(
        "exact accumulator",
        "every float16 and 2**18 more",
        "2**-24",
        0,
        exact_sum,
        plain_sum,
        "test_accumulators.py",
    ),
)
