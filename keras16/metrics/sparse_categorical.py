"""Accuracy and cross-entropy of integer class ids, per example and exact."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.metrics.mean import Mean
from keras16.numerics import bits, softmax


@keras.saving.register_keras_serializable(package="keras16.metrics")
class SparseCategoricalAccuracy(Mean):
    """The share of examples whose largest logit is the labelled class.

    Class ids are compared as integers. Ties go to the first class, as in NumPy.
    """

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(  # type: ignore[override]  # as Keras' own metrics have it
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        labels = _class_ids(y_true, y_pred)
        hits = ops.cast(ops.equal(labels, bits.argmax(y_pred)), self.dtype)
        super().update_state(hits, sample_weight)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class SparseCategoricalCrossentropy(Mean):
    """The mean cross-entropy of logits over examples, in nats.

    Every example's loss is rounded once and added exactly. The loss tracker, by
    contrast, is given the mean of each batch, rounded to 16 bits.
    """

    def __init__(self, name: str = "cross_entropy", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(  # type: ignore[override]  # as Keras' own metrics have it
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        labels = _class_ids(y_true, y_pred)
        if bits.is_16_bit(self.dtype):
            logits = ops.cast(y_pred, self.dtype)
            losses = softmax.sparse_cross_entropy(labels, logits)
        else:
            losses = keras.losses.sparse_categorical_crossentropy(
                labels, ops.cast(y_pred, self.dtype), from_logits=True
            )
        super().update_state(losses, sample_weight)


def _class_ids(y_true: Any, y_pred: Any) -> Any:
    labels = ops.cast(y_true, "int32")
    if len(labels.shape) == len(y_pred.shape) and labels.shape[-1] == 1:
        return ops.squeeze(labels, -1)
    return labels
