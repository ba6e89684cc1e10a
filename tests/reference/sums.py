"""Exact sums and means: fractions for a few numbers, float64 for many."""

import math
from fractions import Fraction

import numpy as np


def exact(values) -> Fraction:
    """The sum of finite numbers, as a fraction."""
    return sum((Fraction(float(v)) for v in np.ravel(values)), Fraction())


def total(values) -> float:
    """The sum of numbers, rounded once to float64."""
    return math.fsum(np.asarray(values, "float64").ravel())


def mean(x, axis=None, keepdims=False):
    """The mean in float64, and the mean of absolute values beside it.

    float64 has 42 more bits than float16, so that 2**22 additions cost nothing.
    No elements have the mean 0, as in Keras' losses.
    """
    x = np.asarray(x, "float64")
    axes = tuple(range(x.ndim)) if axis is None else axis
    count = np.prod([x.shape[a] for a in np.atleast_1d(axes)])
    total = x.sum(axis=axes, keepdims=keepdims)
    size = np.abs(x).sum(axis=axes, keepdims=keepdims)
    return total / max(count, 1), size / max(count, 1)
