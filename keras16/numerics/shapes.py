"""Labels, predictions and weights in shapes that go together, as Keras makes them."""

from __future__ import annotations

from typing import Any

from keras import ops


def same_rank(x: Any, other: Any) -> Any:
    """X with a last axis of length 1 taken off or put on, as Keras does it.

    Args:
        x: Of another rank than `other` by one, or not.
        other: What it is to be multiplied with.
    """
    surplus = len(x.shape) - len(other.shape)
    if surplus == 1 and x.shape[-1] == 1:
        return ops.squeeze(x, -1)
    if surplus == -1 and other.shape[-1] == 1 and len(x.shape):
        return ops.expand_dims(x, -1)
    return x


def same_shape(y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Labels and predictions of one shape, as Keras' losses make them.

    Of [batch] and [batch, 1] the first becomes the second; elsewhere a last axis
    of length 1 that only one of them has is taken off.
    """
    if len(y_true.shape) > len(y_pred.shape):
        y_pred, y_true = _one_rank(y_pred, y_true)
    else:
        y_true, y_pred = _one_rank(y_true, y_pred)
    if tuple(y_true.shape) == tuple(y_pred.shape):
        return y_true, y_pred
    return y_true + ops.zeros_like(y_pred), y_pred + ops.zeros_like(y_true)


def _one_rank(low: Any, high: Any) -> tuple[Any, Any]:
    if len(high.shape) != len(low.shape) + 1 or high.shape[-1] != 1:
        return low, high
    if len(low.shape) == 1:
        return ops.expand_dims(low, -1), high
    return low, ops.squeeze(high, -1)


def classes_last(x: Any, axis: int) -> Any:
    """The class axis moved to the end."""
    last = axis in (-1, len(x.shape) - 1)
    return x if last else ops.moveaxis(x, axis, -1)


def class_ids(y_true: Any, predictions: Any) -> Any:
    """Labels as int32, without the last axis of length 1 that Keras allows."""
    labels = ops.cast(y_true, "int32")
    if len(labels.shape) == len(predictions.shape) and labels.shape[-1] == 1:
        labels = ops.squeeze(labels, -1)
    return labels
