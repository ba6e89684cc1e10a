"""What a loss is made of: its value for each example, and the way back from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from keras16.numerics import scaled
from keras16.numerics.scaled import Scaled


@dataclasses.dataclass(frozen=True)
class Terms:
    """The losses of a batch, before weights and reduction.

    Attributes:
        losses: One for each example (or time step), [...].
        pull: The gradient of the predictions, a 16-bit tensor of their shape, for
            a factor of each loss, [...]. Weights, 1 / batch and what comes from
            above are that factor: no gradient meets them one by one in 16 bits,
            where 1 / 100,000 alone has lost seven of its eleven bits.
        valid: Where labels count, [...] boolean; None is everywhere.
        elements: Where the losses are means of elements along the last axis, these,
            [..., n]: a metric adds them exactly, before any division.
    """

    losses: Scaled
    pull: Callable[[Scaled], Any]
    valid: Any = None
    elements: Scaled | None = None


def of_elements(losses: Scaled, slopes: Scaled, axis: int = -1) -> Terms:
    """The mean of elementwise losses along an axis.

    Args:
        losses: [..., n].
        slopes: The derivative of each by its prediction, [..., n].
        axis: The axis of n.
    """
    share = scaled.one_over(scaled.count(losses.x, axis), losses.dtype)

    def pull(factor: Scaled) -> Any:
        return scaled.saturated(slopes * scaled.expand(factor * share, axis))

    elements = losses if axis in (-1, len(losses.x.shape) - 1) else None
    return Terms(scaled.mean(losses, axis), pull, elements=elements)
