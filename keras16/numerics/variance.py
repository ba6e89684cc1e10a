"""Mean and variance of 16-bit tensors, whose squares may leave the format."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras16.numerics import bits, reductions

# Log2 of what the largest deviation is brought to: its square stays finite, and the
# mean of 2**22 squares, of which all but one are 0, is still a normal number.
_REACH = 6


def moments(x: Any, axis: Any = None, keepdims: bool = False) -> tuple[Any, Any]:
    """The mean and the variance along some axes; Keras' own compute in float32.

    Args:
        x: 16-bit tensor.
        axis: An axis, several, or None for all.
        keepdims: Whether the reduced axes stay, at length 1.

    Returns:
        (mean, within 2 units in the last place of mean(abs(x)); variance, within 3 of
        its own, infinite only where it is beyond the format), for up to 2**22
        elements. 0 of no elements; a constant has the variance 0.
    """
    axes = reductions.standardized(axis, len(x.shape))
    if not axes:
        return x, ops.zeros_like(x)
    mean, variance = _moments(x, axes)
    if keepdims:
        return mean, variance
    return ops.squeeze(mean, axes), ops.squeeze(variance, axes)


def _moments(x: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """The same, the axes kept."""
    highest = ops.max(x, axes, keepdims=True, initial=-float("inf"))
    lowest = ops.min(x, axes, keepdims=True, initial=float("inf"))
    # Rounding may leave the mean outside; inside, a constant has variance 0.
    mean = reductions.mean(x, axes, keepdims=True)
    inside = ops.maximum(ops.minimum(mean, highest), lowest)
    mean = bits.rounded(ops.where(highest < lowest, mean, inside))  # of nothing: 0
    scale = bits.scale_to_one(ops.maximum(ops.abs(highest), ops.abs(lowest)))
    centered = x * scale - mean * scale
    reach = ops.max(ops.abs(centered), axes, keepdims=True, initial=0.0)
    zoom = bits.scale_to_one(reach)
    # Rounded, since TensorFlow's grappler multiplies the two factors first: infinity.
    centered = bits.rounded(centered * zoom) * 2.0**_REACH
    center = reductions.mean(centered, axes, keepdims=True)
    square = reductions.mean(centered * centered, axes, keepdims=True)
    variance = ops.maximum(square - center * center, 0)
    power = _log_2(scale) + _log_2(zoom) + _REACH
    return mean, bits.times_power_of_two(variance, -2 * power)


def _log_2(power_of_two: Any) -> Any:
    return bits.biased_exponent(power_of_two) - bits.format_of(power_of_two).bias
