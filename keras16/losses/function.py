"""Losses that are decided by the data or written by the user."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.losses._sixteen import SixteenBit
from keras16.losses.binary import BinaryCrossentropy
from keras16.losses.categorical import CategoricalCrossentropy
from keras16.losses.sparse_categorical_crossentropy import (
    SparseCategoricalCrossentropy,
)
from keras16.numerics import scaled
from keras16.numerics.terms import Terms


@keras.saving.register_keras_serializable(package="keras16")
class OfFunction(SixteenBit, keras.losses.Loss):
    """A loss of a function of your own, reduced without overflow or drift.

    Args:
        fn: Called with (labels, predictions), the predictions in the loss' dtype;
            gives one loss for each example. Its own steps and their gradients are
            not ours: `keras16.audit` says whether they are 16-bit.
        name: Name of the loss.
        reduction: As Keras' losses have it.
        dtype: As Keras' losses have it.
        **arguments: Given to the function.
    """

    def __init__(
        self,
        fn: Any,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
        **arguments: Any,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn = fn
        self.arguments = arguments

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.fn(y_true, y_pred, **self.arguments)

    def _prepared(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        y_pred = keras.tree.map_structure(lambda x: ops.cast(x, self.dtype), y_pred)
        return None, ops.cast(self.call(y_true, y_pred), self.dtype)

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return Terms(scaled.of(predictions), scaled.saturated)

    def get_config(self) -> dict[str, Any]:
        function = keras.saving.serialize_keras_object(self.fn)
        return {**super().get_config(), "fn": function, **self.arguments}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> OfFunction:
        """The loss of a saved config."""
        config = dict(config)
        function = keras.saving.deserialize_keras_object(config.pop("fn"))
        return cls(function, **config)


@keras.saving.register_keras_serializable(package="keras16")
class Crossentropy(keras.losses.Loss):
    """What Keras takes "crossentropy" for, chosen by the shapes that it is given.

    Binary for predictions [..., 1], sparse where the labels have no class axis,
    categorical otherwise; of probabilities, as Keras has it.
    """

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        chosen = _by_shape(y_true, y_pred)
        loss = chosen(name=self.name, reduction=self.reduction, dtype=self.dtype)
        return loss(y_true, y_pred, sample_weight)


def _by_shape(y_true: Any, y_pred: Any) -> Any:
    if y_pred.shape[-1] == 1:
        return BinaryCrossentropy
    if len(y_true.shape) < len(y_pred.shape) or y_true.shape[-1] == 1:
        return SparseCategoricalCrossentropy
    return CategoricalCrossentropy
