"""What Keras writes on a tensor beside its numbers: a mask, the logits it came from.

Both are private attributes: Keras' own losses read them by these names. Tensors of a
step that JAX traces take no attributes; Keras keeps theirs in a table of its own, as
the two functions that are imported here do.
"""

from __future__ import annotations

from typing import Any

from keras.src.backend.common.tensor_attributes import get_tensor_attr, set_tensor_attr


def mask_of(x: Any) -> Any:
    """The mask that Keras' layers gave a tensor, or None."""
    return get_tensor_attr(x, "_keras_mask")


def logits_of(x: Any) -> Any:
    """The logits that a softmax or sigmoid activation made a tensor from, or None.

    Keras' losses take them in place of probabilities, whose digits near 1 are lost.
    """
    return get_tensor_attr(x, "_keras_logits")


def note_logits(x: Any, logits: Any) -> None:
    """Leaves its logits on a tensor of probabilities.

    On JAX Keras' own activations leave them only outside of a traced step.
    """
    set_tensor_attr(x, "_keras_logits", logits)
