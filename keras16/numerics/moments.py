"""Slow averages in one 16-bit slot: rounded by chance, so that they do not stall.

To nearest, an average that moves by a share of 1/1000 stops within a quarter of its
goal in float16, and one of 1/10,000 does not move at all. Rounded by chance each
step is right on average, and so are many steps (see `numerics.noise`).
"""

from __future__ import annotations

from typing import Any

from keras import ops

from keras16.numerics import bits, fixed
from keras16.numerics.scaled_steps import Scaled


def moved(average: Any, target: Any, share: Scaled, random: Any) -> Any:
    """Average + share (target - average), rounded by chance.

    Args:
        average: 16-bit tensor.
        target: Of the same shape and dtype.
        share: In [0, 1].
        random: int32 words, one an element.
    """
    return fixed.added_by_chance(average, way(average, target, share), random)


def way(average: Any, target: Any, share: Scaled) -> Scaled:
    """Share (target - average), which neither overflows nor underflows."""
    scale = bits.scale_to_one(ops.maximum(ops.abs(average), ops.abs(target)))
    return share.times(_over(target * scale - average * scale, scale))


def moved_root(root: Any, x: Any, share: Scaled, random: Any) -> Any:
    """sqrt((1 - share) root**2 + share x**2), rounded by chance.

    The second moment of a gradient needs twice the range of the gradient; its
    root does not (Bjorck et al., arXiv 2102.13565, section 4).

    Args:
        root: Non-negative 16-bit tensor.
        x: Of the same shape and dtype, of either sign.
        share: In [0, 1].
        random: int32 words, one an element.
    """
    x = ops.abs(x)
    scale = bits.scale_to_one(ops.maximum(root, x))
    old, new = root * scale, x * scale
    gap = (new - old) * (new + old)
    return _with_square_more(root, old, share.times(_over(gap, scale)), scale, random)


def grown_root(root: Any, x: Any, random: Any) -> Any:
    """sqrt(root**2 + x**2), rounded by chance; arguments as of `moved_root`."""
    x = ops.abs(x)
    scale = bits.scale_to_one(ops.maximum(root, x))
    new = x * scale
    return _with_square_more(root, root * scale, _over(new * new, scale), scale, random)


def shrunk(x: Any, share: Scaled, random: Any) -> Any:
    """(1 - share) x, rounded by chance."""
    scale = bits.scale_to_one(ops.abs(x))
    addend = share.times(_over(-x * scale, scale))
    return fixed.added_by_chance(x, addend, random)


def _with_square_more(root: Any, old: Any, gap: Scaled, scale: Any, random: Any) -> Any:
    """The root of its square and of what is added to that.

    Args:
        root: As kept.
        old: root times scale.
        gap: What is added to the square, times scale: it is about 1.
        scale: Power of two.
        random: int32 words.
    """
    added = Scaled(gap.value, gap.exponent + _log2(scale)).collapsed()
    moved = ops.sqrt(ops.maximum(old * old + added, 0))
    below = moved + old
    step = gap.value / ops.where(below == 0, ops.ones_like(below), below)
    return fixed.added_by_chance(root, Scaled(step, gap.exponent), random)


def _over(x: Any, scale: Any) -> Scaled:
    """X / scale."""
    return Scaled(x, -_log2(scale))


def _log2(scale: Any) -> Any:
    return bits.biased_exponent(scale) - bits.format_of(scale).bias


def quotient(x: Any, root: Any, floor: Scaled) -> Any:
    """X / (root + floor), also where both are subnormal.

    Args:
        x: 16-bit tensor, at most some thousand times root.
        root: Non-negative, of the same shape and dtype.
        floor: Non-negative scalar. Below 2**-14 of the root it counts as
            2**-14 of it at most.
    """
    scale = bits.scale_to_one(root)
    below = root * scale + _floor_at(floor, scale)
    return x * scale / ops.where(below == 0, ops.ones_like(below), below)


def quotient_by_hypot(x: Any, root: Any, floor: Scaled) -> Any:
    """X / sqrt(root**2 + floor**2); arguments as of `quotient`."""
    scale = bits.scale_to_one(root)
    below = _hypot_at(scale, root, floor)
    return x * scale / ops.where(below == 0, ops.ones_like(below), below)


def hypot(root: Any, floor: Scaled) -> Scaled:
    """sqrt(root**2 + floor**2) of what may be subnormal."""
    scale = bits.scale_to_one(root)
    return _over(_hypot_at(scale, root, floor), scale)


def _hypot_at(scale: Any, root: Any, floor: Scaled) -> Any:
    a, b = root * scale, _floor_at(floor, scale)
    large, small = ops.maximum(a, b), ops.minimum(a, b)
    share = small / ops.where(large == 0, ops.ones_like(large), large)
    return large * ops.sqrt(1 + share * share)


def _floor_at(floor: Scaled, scale: Any) -> Any:
    power = bits.power_of_two(floor.exponent + _log2(scale), bits.name_of(scale))
    return floor.value * power
