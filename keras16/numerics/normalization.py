"""Normalization of a 16-bit tensor by its own statistics, gradients by hand.

A slice x (what one statistic is taken of) is seen as d = (x p - mean p) s with
powers of two p and s: x p is about 1 at most, d about 64. Both products are exact,
and no square of a d overflows or vanishes: it may be up to 2**18 times smaller than
the largest one. The mean of d, which is what rounding left of the mean, is taken
out of it. Sums are matrix products (see `reductions`).
"""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from keras16 import backend
from keras16.numerics import bits, extremes, norms, reductions
from keras16.numerics.derivatives import by_hand, by_hand_once

# Log2 of the largest d: its square stays below the end of the format. The root of
# epsilon is brought no higher than twice that, so that its inverse is normal.
_REACH = 6


def standardize(x: Any, axes: tuple[int, ...], epsilon: float) -> Any:
    """(x - mean) / sqrt(variance + epsilon) along some axes.

    Args:
        x: 16-bit tensor.
        axes: The axes that one mean and one variance are taken of.
        epsilon: Added to the variance, at least 0. A constant slice gives 0.

    Returns:
        Tensor of x's shape and dtype.
    """
    return _differentiable(_Centered(axes, epsilon), x)


def over_deviation(x: Any, axes: tuple[int, ...], epsilon: float) -> Any:
    """X / sqrt(variance + epsilon): divided by its deviation and not centered."""
    return _differentiable(_OverDeviation(axes, epsilon), x)


def over_root_mean_square(x: Any, axes: tuple[int, ...], epsilon: float) -> Any:
    """X / sqrt(mean of squares + epsilon) along some axes; 0 of zeros."""
    return _differentiable(_OverRootMeanSquare(axes, epsilon), x)


def over_norm(x: Any, axes: tuple[int, ...]) -> Any:
    """X over its Euclidean norm along some axes; zeros give 0, and a gradient of 0."""
    return _differentiable(_OverNorm(axes, 0.0), x)


def affine(rows: Any, gamma: Any, beta: Any) -> Any:
    """Rows x gamma + beta, whose gradients are sums that neither stall nor overflow.

    Args:
        rows: [n, channels] 16-bit.
        gamma: [channels] of that dtype, or None for ones.
        beta: Likewise, or None for zeros.
    """
    if gamma is not None:
        given = (gamma,) if beta is None else (gamma, beta)
        return _scaled(rows, *map(bits.read, given))
    return rows if beta is None else _shifted(rows, bits.read(beta))


@by_hand
def _scaled(rows: Any, gamma: Any, *beta: Any) -> Any:
    """Rows x gamma, plus beta where there is one."""

    def backward(gradient: Any) -> tuple[Any, ...]:
        of_rows, along = backend.one_pass(_times_both)(gradient, gamma, rows)
        of_beta = [reductions.row_sum(gradient) for _ in beta]
        return of_rows, reductions.row_sum(along), *of_beta

    return backend.one_pass(_line)(rows, gamma, *beta), backward


@by_hand
def _shifted(rows: Any, beta: Any) -> Any:
    """Rows + beta."""

    def backward(gradient: Any) -> tuple[Any, Any]:
        return gradient, reductions.row_sum(gradient)

    return rows + beta, backward


def _differentiable(rule: _Rule, x: Any) -> Any:
    @by_hand_once("normalization")
    def normalize(x):
        outputs, steps = rule.forward(x)

        return outputs, lambda gradient: rule.backward(gradient, steps)

    return normalize(x)


class _Rule:
    """What is divided by which spread; the spread is kept times a power of two."""

    centered = True

    def __init__(self, axes: tuple[int, ...], epsilon: float) -> None:
        self.axes, self.epsilon = axes, epsilon

    def forward(self, x: Any) -> tuple[Any, Any]:
        """The outputs and what `backward` needs of this step."""
        raise NotImplementedError

    def backward(self, gradient: Any, steps: Any) -> Any:
        """(g - unit x mean(g x outputs) [- mean]) / spread of a gradient g.

        The gradient is brought to about 1 before its means are taken.
        """
        outputs, unit, inverse, exponent = steps
        scale = bits.scale_to_one(self._magnitude(gradient))
        gradient, along = backend.one_pass(_scaled_and_times)(gradient, scale, outputs)
        gradient = backend.one_pass(_less_times)(gradient, unit, self._mean(along))
        exponent = exponent - _exponent_of(scale)
        if not self.centered:
            return backend.one_pass(_times)(gradient, inverse, exponent)
        return backend.one_pass(_less_and_times)(
            gradient, self._mean(gradient), inverse, exponent
        )

    def _mean(self, x: Any) -> Any:
        return reductions.mean(x, self.axes, keepdims=True)

    def _magnitude(self, x: Any) -> Any:
        return extremes.magnitude(x, self.axes, keepdims=True)

    def _inverse(self, square: Any, exponent: Any) -> Any:
        """1 / sqrt(square + epsilon 4**exponent), or 0 for 0."""
        floor = ops.cast(math.sqrt(self.epsilon), square.dtype)
        floor = bits.times_power_of_two(
            ops.broadcast_to(floor, ops.shape(exponent)), exponent
        )
        spread = norms.hypot(ops.sqrt(ops.maximum(square, 0)), floor)
        inverse = 1 / ops.where(spread == 0, ops.ones_like(spread), spread)
        return ops.where(spread == 0, ops.zeros_like(inverse), inverse)


class _Centered(_Rule):
    def forward(self, x: Any) -> tuple[Any, Any]:
        unit, inverse, exponent, _ = self._standardized(x)
        return unit, (unit, unit, inverse, exponent)

    def _standardized(self, x: Any) -> tuple[Any, Any, Any, Any]:
        highest, lowest = extremes.along(x, self.axes)
        scale = bits.scale_to_one(ops.maximum(ops.abs(highest), ops.abs(lowest)))
        # Rounded for certain: the sums and the outputs must see the same mean.
        mean = bits.rounded(self._mean(x * scale))
        reach = ops.maximum(highest * scale - mean, mean - lowest * scale)
        zoom = _zoom(bits.scale_to_one(reach), scale, self.epsilon)
        centered, squares = backend.one_pass(_centered_and_squared)(
            x, scale, mean, zoom
        )
        center = self._mean(centered)
        square = self._mean(squares) - center * center
        exponent = _exponent_of(scale) + _exponent_of(zoom)
        inverse = self._inverse(square, exponent)
        unit = backend.one_pass(_less_by)(centered, center, inverse)
        return unit, inverse, exponent, scale


class _OverDeviation(_Centered):
    def forward(self, x: Any) -> tuple[Any, Any]:
        unit, inverse, exponent, _ = self._standardized(x)
        outputs = bits.times_power_of_two(bits.rounded(x * inverse), exponent)
        return outputs, (outputs, unit, inverse, exponent)

    centered = False


class _OverRootMeanSquare(_Rule):
    centered = False

    def forward(self, x: Any) -> tuple[Any, Any]:
        scale = bits.scale_to_one(self._magnitude(x))
        zoom = _zoom(ops.ones_like(scale), scale, self.epsilon)
        # Rounded, or grappler multiplies the two powers first, which may overflow.
        scaled = bits.rounded(x * scale) * zoom
        exponent = _exponent_of(scale) + _exponent_of(zoom)
        inverse = self._inverse(self._mean(scaled * scaled), exponent)
        unit = scaled * inverse
        return unit, (unit, unit, inverse, exponent)


class _OverNorm(_OverRootMeanSquare):
    def forward(self, x: Any) -> tuple[Any, Any]:
        unit, (_, _, inverse, exponent) = super().forward(x)
        share = self._root_of_share(x)
        return unit * share, (unit, unit, inverse * share, exponent)

    def _root_of_share(self, x: Any) -> Any:
        """1 / sqrt(number of elements of a slice)."""
        count: Any = 1
        for axis in self.axes:
            count = count * ops.shape(x)[axis]
        if isinstance(count, int):
            return ops.cast(max(count, 1) ** -0.5, x.dtype)
        return ops.sqrt(reductions.over_count(ops.ones((), dtype=x.dtype), count))


# Chains of element-wise operations, each one loop: a tensor is read as often as there
# are chains, and not as there are operations.


def _line(x: Any, slope: Any, *offset: Any) -> Any:
    return sum(offset, x * slope)


def _times_both(gradient: Any, slope: Any, x: Any) -> tuple[Any, Any]:
    return gradient * slope, gradient * x


def _centered_and_squared(x: Any, scale: Any, mean: Any, zoom: Any) -> tuple[Any, Any]:
    centered = bits.rounded((x * scale - mean) * zoom)
    return centered, centered * centered


def _less_by(x: Any, mean: Any, factor: Any) -> Any:
    return (x - mean) * factor


def _scaled_and_times(gradient: Any, scale: Any, outputs: Any) -> tuple[Any, Any]:
    scaled = gradient * scale
    return scaled, scaled * outputs


def _less_times(gradient: Any, unit: Any, slope: Any) -> Any:
    return gradient - unit * slope


def _times(gradient: Any, inverse: Any, exponent: Any) -> Any:
    return bits.times_power_of_two(bits.rounded(gradient * inverse), exponent)


def _less_and_times(gradient: Any, mean: Any, inverse: Any, exponent: Any) -> Any:
    return _times(gradient - mean, inverse, exponent)


def _exponent_of(power: Any) -> Any:
    """The exponent of a normal power of two, int32."""
    return bits.biased_exponent(power) - bits.format_of(power).bias


def _zoom(to_one: Any, scale: Any, epsilon: float) -> Any:
    """The power of two that brings what `to_one` brings to 1 to 2**_REACH.

    Smaller where scale x zoom x sqrt(epsilon) would be larger than that.
    """
    exponent = _exponent_of(to_one) + _REACH
    if epsilon:
        highest = _REACH - math.floor(math.log2(epsilon) / 2)
        exponent = ops.minimum(exponent, highest - _exponent_of(scale))
    return bits.power_of_two(exponent, bits.name_of(to_one))
