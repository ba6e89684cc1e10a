"""Softmax cross-entropy of integer class ids."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.errors import UserError
from keras16.numerics import bits, reductions, softmax


@keras.saving.register_keras_serializable(package="keras16")
class SparseCategoricalCrossentropy(keras.losses.SparseCategoricalCrossentropy):
    """Keras' loss of that name, in 16 bits where its dtype is.

    Keras' own casts logits to float32 on TensorFlow, casts class ids to float16
    (which corrupts those above 2,048), and sums the batch in float16.

    Args: as Keras' class. In 16 bits `from_logits` must be True: a probability
        that is rounded to 16 bits has lost what its logarithm needs.

    Raises:
        UserError: 16-bit without `from_logits=True`, or with `ignore_class`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not bits.is_16_bit(self.dtype):
            return
        config = self.get_config()
        if not config["from_logits"]:
            raise UserError(
                "SparseCategoricalCrossentropy in 16 bits wants from_logits=True: "
                "remove the softmax from the model's last layer."
            )
        if config["ignore_class"] is not None:
            raise UserError(
                "SparseCategoricalCrossentropy has no ignore_class in 16 bits: "
                "give these examples the sample weight 0."
            )

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if not bits.is_16_bit(self.dtype):
            return super().__call__(y_true, y_pred, sample_weight)
        logits = ops.cast(y_pred, self.dtype)
        losses = softmax.sparse_cross_entropy(class_ids(y_true, logits), logits)
        return _reduced(losses, sample_weight, self.reduction)


def class_ids(y_true: Any, logits: Any) -> Any:
    """Labels as int32, without the last axis of length 1 that Keras allows."""
    labels = ops.cast(y_true, "int32")
    if len(labels.shape) == len(logits.shape) and labels.shape[-1] == 1:
        labels = ops.squeeze(labels, -1)
    return labels


def _reduced(losses: Any, sample_weight: Any, reduction: str | None) -> Any:
    if sample_weight is not None:
        weight = ops.cast(sample_weight, losses.dtype)
        losses = losses * ops.reshape(weight, ops.shape(losses))
    if reduction in (None, "none"):
        return losses
    if reduction == "sum":
        return ops.reshape(reductions.last_axis_sum(ops.reshape(losses, (1, -1))), ())
    mean = reductions.mean(losses)
    if reduction == "mean_with_sample_weight" and sample_weight is not None:
        return ops.divide_no_nan(mean, reductions.mean(weight))
    return mean
