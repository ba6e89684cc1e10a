"""What is known of one operation of a net on one batch of examples.

Let x be what the net computed and x* what exact arithmetic gives, both along the whole
net; e = x - x* is what has come together so far. An operation f, of which the net
computed y, has y - f(x) = r (the rounding of this operation alone), so that

    y - y* = f(x) - f(x*) + r = M e + q + r

with M a linear map, for instance the derivative at x, and q what f bends between x*
and x. A step knows bounds on each of them. Of what bends upwards, such as a ReLU or a
maximum, q is never positive: f(x*) lies above the tangent at x. That halves what it
adds to a functional, some of whose slopes are positive and some negative.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras16 import backend

Array = np.ndarray
Pull = Callable[[Array], tuple[Array, ...]]

UNIT = 2.0**-11
"""Unit roundoff of float16."""
SMALLEST = 2.0**-25
"""Half the distance of float16's subnormal numbers."""
WIDE = 2.0**-24
"""Unit roundoff of float32, with which slopes are carried back."""
HOST = 2.0**-40
"""More than all roundings together of a float64 formula of some operations."""


def on_host() -> Any:
    """Where bounds are computed: a GPU may transform a convolution, or cut bits."""
    return keras.device("cpu:0")


@dataclasses.dataclass(frozen=True)
class Step:
    """Bounds of one operation, elementwise, for each example.

    Attributes:
        error: [n, ...] float64, at least |y - y*|.
        rest: [n, ...] float64, at least |r|, |q| if it may have either sign, and what
            carrying slopes back through M in float32 may add.
        pull: [k, n, ...] slopes of k functionals by y -> those by each input, float32:
            the transpose of M.
        drop: [n, ...] float64: -drop <= q <= 0, where q is not in `rest`.
    """

    error: Array
    rest: Array
    pull: Pull
    drop: Array | None = None


def combined(moved: Array, local: Array, pull: Pull, terms: int = 1) -> Step:
    """A step from a bound on M e and one on q + r.

    Args:
        moved: [n, ...], at least |M| |e|.
        local: [n, ...], at least |q + r|.
        pull: The transpose of M.
        terms: How many numbers the transpose adds up for one of its own.
    """
    # Sums of n numbers in float32 are off by n units at most, in any order; a few
    # more for the branches of a net, which are added up as well.
    slack = (terms + 8) * 2 * WIDE
    return Step(moved + local, local + slack * moved, pull)


def transposed(linear: Callable[[Any], Any], shape: tuple[int, ...]) -> Pull:
    """Carries slopes back through a linear function of one tensor.

    Args:
        linear: [n, ...] -> [n, ...], each example by itself.
        shape: Of its inputs, [n, ...].
    """

    def pull(slopes: Array) -> tuple[Array]:
        count, examples = slopes.shape[:2]
        rows = slopes.reshape(count * examples, *slopes.shape[2:])
        with on_host():
            back = backend.module().pullback(linear, (len(rows), *shape[1:]), rows)
        return (np.asarray(keras.ops.convert_to_numpy(back)).reshape(count, *shape),)

    return pull


def distance(computed: Array, exact: Array, size: Array | float = 0.0) -> Array:
    """What an operation rounded, by comparing with a float64 formula of its inputs.

    Args:
        computed: What the net gave.
        exact: What the formula gives.
        size: Of what the formula added up, where that is larger than its result.
    """
    return np.abs(computed - exact) + HOST * (np.abs(computed) + np.abs(exact) + size)
