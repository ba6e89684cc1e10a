"""One formula, two arithmetics: 16 bits inside the step, float64 on the host.

A metric writes its result once, for counts that are `Scaled` or float64 arrays.
Beside + - * and /, which both have, it uses the functions of the arithmetic.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from keras16.numerics import accumulators, scaled
from keras16.numerics.scaled import Scaled


class Sixteen:
    """Numbers with an exponent of their own; a result is rounded to 16 bits."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype

    def counts(self, words: Any) -> Scaled:
        """[..., WORDS] int32, not carried -> the sums [...], at least 0."""
        return accumulators.as_scaled(accumulators.carried(words), self.dtype)

    def constant(self, values: Any) -> Scaled:
        """Numbers of the host."""
        return scaled.constant(values, self.dtype)

    def ratio(self, a: Scaled, b: Scaled) -> Scaled:
        """A / b, 0 where b is 0."""
        one = scaled.of(ops.ones_like(b.x))
        nothing = b.x == 0
        return scaled.masked(~nothing, a / scaled.where(nothing, one, b))

    def where(self, condition: Any, a: Scaled, b: Scaled) -> Scaled:
        """A where a condition holds, else b."""
        return scaled.where(condition, a, b)

    def positive(self, a: Scaled) -> Any:
        """Whether a > 0."""
        return a.x > 0

    def log1p(self, a: Scaled) -> Scaled:
        """log(1 + a) for a of at least 0."""
        return scaled.log1p(a)

    def total(self, a: Scaled, axis: int | None = None) -> Scaled:
        """The sum along an axis, or of all."""
        return scaled.total(a, axis)

    def highest(self, a: Scaled) -> Scaled:
        """The largest of numbers of at least 0."""
        return scaled.of(ops.max(scaled.value(a)))

    def stack(self, numbers: list[Scaled]) -> Scaled:
        """Along a new first axis."""
        return Scaled(
            ops.stack([a.x for a in numbers]), ops.stack([a.exponent for a in numbers])
        )

    def result(self, a: Scaled) -> Any:
        """A 16-bit tensor."""
        return scaled.value(a)


class Host:
    """The same in float64 NumPy, outside the step."""

    def counts(self, words: Any) -> Any:
        """[..., WORDS] int32 -> [...] float64."""
        return accumulators.to_floats(words)

    def constant(self, values: Any) -> Any:
        """Numbers of the host."""
        return np.asarray(values, "float64")

    def ratio(self, a: Any, b: Any) -> Any:
        """A / b, 0 where b is 0."""
        return np.where(b == 0, 0.0, a / np.where(b == 0, 1.0, b))

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        """A where a condition holds, else b."""
        return np.where(condition, a, b)

    def positive(self, a: Any) -> Any:
        """Whether a > 0."""
        return a > 0

    def log1p(self, a: Any) -> Any:
        """log(1 + a)."""
        return np.log1p(a)

    def total(self, a: Any, axis: int | None = None) -> Any:
        """The sum along an axis, or of all."""
        return np.sum(a, axis=axis)

    def highest(self, a: Any) -> Any:
        """The largest."""
        return np.max(a)

    def stack(self, numbers: list[Any]) -> Any:
        """Along a new first axis."""
        return np.stack(numbers)

    def result(self, a: Any) -> Any:
        """A float, or an array of several."""
        return float(a) if np.ndim(a) == 0 else a
