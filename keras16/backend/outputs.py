"""What Keras writes on a tensor beside its numbers: a mask, the logits it came from.

Both are private attributes: Keras' own losses read them by these names.
"""

from __future__ import annotations

from typing import Any


def mask_of(x: Any) -> Any:
    """The mask that Keras' layers gave a tensor, or None."""
    return getattr(x, "_keras_mask", None)


def logits_of(x: Any) -> Any:
    """The logits that a softmax or sigmoid activation made a tensor from, or None.

    Keras' losses take them in place of probabilities, whose digits near 1 are lost.
    """
    return getattr(x, "_keras_logits", None)
