"""The floor that rounding to nearest sets on plain SGD, on a convex problem.

f_B(w) = |X_B (w - w*)|^2 / (2 n) over batches B: least squares whose labels fit, so
that every batch's gradient is 0 at w* and no noise is left there. Let L be the largest
curvature of a batch, a the learning rate, u = 2^-11 float16's unit roundoff, and
m = min_j |w*_j|.

A weight w_j loses an update that is smaller than half the distance to its neighbour
towards 0, which is u |w_j| / 2 or more. The update is a g_j, rounded twice (the
gradient and the product): at most a (1 + u)^2 L |w - w*| + t, where t = 2^-24 is what
rounding among subnormals may add. Since |w_j| >= m - |w - w*|, all weights lose theirs
where |w - w*| is below

    r = (m u / 2 - t) / (a L (1 + u)^2 + u / 2),

and SGD stays there for good. From outside of r, one step leaves at least
(1 - a L (1 + u)^2) r - t sqrt(weights) before the new weights are rounded, which moves
them by at most u (|w*| + what was left). So, whatever the number of steps,

    |w_t - w*| >= min(|w_0 - w*|, (1 - u) (what was left) - u |w*|).

The smaller the learning rate, the higher the floor: it is m u / (2 a L) nearly.

Source: after Zamirai et al., arXiv 2010.06192, Theorem 1; derived anew for spacing to
nearest, two roundings of an update, and no assumption on where a step lands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

from keras16 import optimizers

ROUNDINGS = ("nearest", "kahan", "stochastic")
RATES = tuple(2.0**-k for k in range(1, 8))
UNIT_ROUNDOFF = 2.0**-11
SUBNORMAL = 2.0**-24  # two roundings of half the least float16
# Exact SGD would come this near, relative to where it starts.
NEARNESS = 1e-6


class Problem(NamedTuple):
    """Least squares in batches; L is 1.

    Attributes:
        curvatures: [batches, weights, weights] float64: of each batch.
        optimum: [weights] float64; none of them is a float16.
    """

    curvatures: np.ndarray
    optimum: np.ndarray


class Floor(NamedTuple):
    """Where SGD ended.

    Attributes:
        rounding: Of the weights: one of `ROUNDINGS`.
        learning_rate: Of every step.
        steps: How many; fewer where a whole pass has changed nothing.
        distance: |w - w*| / |w*| of the float16 weights at the end.
        bound: Below which it can't come, in the same unit: with "nearest" by the
            text above; else that of float16 itself, which holds no nearer weights.
        stalled: Whether the last pass over the batches changed no weight.
    """

    rounding: str
    learning_rate: float
    steps: int
    distance: float
    bound: float
    stalled: bool


def problem(weights: int = 4, batches: int = 4, seed: int = 0) -> Problem:
    """Random curvatures with eigenvalues from 1/2 to 1, and an optimum in [1, 2).

    Args:
        weights: Their number.
        batches: Theirs.
        seed: Of both.
    """
    draws = np.random.default_rng(seed)
    values = np.linspace(0.5, 1, weights)
    turns = [
        np.linalg.qr(draws.normal(size=(weights, weights)))[0] for _ in "." * batches
    ]
    return Problem(
        np.stack([turn @ np.diag(values) @ turn.T for turn in turns]),
        draws.uniform(1, 2, weights),
    )


def bound(asked: Problem, rate: float, start: float) -> float:
    """The floor of rounding to nearest, |w - w*|; 0 where it says nothing.

    Args:
        asked: The problem.
        rate: The learning rate; L times it is at most 1.
        start: |w_0 - w*|.
    """
    u, size = UNIT_ROUNDOFF, float(np.linalg.norm(asked.optimum))
    largest = max(np.linalg.eigvalsh(each)[-1] for each in asked.curvatures)
    step = rate * float(largest) * (1 + u) ** 2
    least = float(np.min(np.abs(asked.optimum)))
    radius = (least * u / 2 - SUBNORMAL) / (step + u / 2)
    left = (1 - step) * radius - SUBNORMAL * len(asked.optimum) ** 0.5
    return max(0.0, min(start, (1 - u) * left - u * size))


def descend(asked: Problem, rounding: str, rate: float, seed: int = 0) -> Floor:
    """Plain SGD from 0, a batch a step, with keras16's own optimizer.

    The gradient is that at the float16 weights, in float64, rounded once.

    Args:
        asked: The problem.
        rounding: One of `ROUNDINGS`.
        rate: The learning rate, a power of two.
        seed: Of stochastic rounding.
    """
    weights = keras.Variable(np.zeros(asked.optimum.shape), dtype="float16")
    given = {"seed": seed} if rounding == "stochastic" else {}
    optimizer = optimizers.SGD(rate, rounding=rounding, **given)
    optimizer.build([weights])
    passes = -(-_enough(rate) // len(asked.curvatures))
    steps = 0
    for _ in range(passes):
        before = _values(weights)
        for curvature in asked.curvatures:
            gradient = curvature @ (_values(weights) - asked.optimum)
            optimizer.apply([keras.ops.cast(gradient, "float16")], [weights])
            steps += 1
        stalled = bool(np.array_equal(before, _values(weights)))
        if stalled and rounding == "nearest":
            break
    distance = float(np.linalg.norm(_values(weights) - asked.optimum))
    size = float(np.linalg.norm(asked.optimum))
    least = bound(asked, rate, size) if rounding == "nearest" else _nearest(asked)
    return Floor(rounding, rate, steps, distance / size, least / size, stalled)


def floors(
    rates: Sequence[float] = RATES, roundings: Sequence[str] = ROUNDINGS
) -> list[Floor]:
    """Where SGD ends at each learning rate with each rounding.

    Args:
        rates: Learning rates, powers of two, at most 1.
        roundings: Of `ROUNDINGS`.
    """
    asked = problem()
    return [descend(asked, kind, rate) for kind in roundings for rate in rates]


def _enough(rate: float) -> int:
    """Steps in which exact SGD comes as near as `NEARNESS`: it shrinks by a / 2."""
    return int(np.ceil(np.log(NEARNESS) / np.log1p(-rate / 2)))


def _nearest(asked: Problem) -> float:
    """How far from the optimum the nearest float16 weights are."""
    return float(np.linalg.norm(asked.optimum - np.float16(asked.optimum)))


def _values(weights: keras.Variable) -> np.ndarray:
    found: np.ndarray = keras.ops.convert_to_numpy(weights).astype(np.float64)
    return found
