"""Cross-entropies over classes, of integer class ids."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from keras import ops

from keras16.backend import outputs
from keras16.losses._sixteen import SixteenBit
from keras16.numerics import categorical, shapes
from keras16.numerics.terms import Terms


class _Sparse(SixteenBit):
    """Class ids stay integers: float16 knows every whole number up to 2,048 only."""

    def _prepared(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        predictions = ops.cast(y_pred, self.dtype)  # type: ignore[attr-defined]
        return shapes.class_ids(y_true, predictions), predictions


@keras.saving.register_keras_serializable(package="keras16")
class SparseCategoricalCrossentropy(
    _Sparse, keras.losses.SparseCategoricalCrossentropy
):
    """Keras' loss of that name, for class ids below 2**31.

    Keras' own casts logits to float32 on TensorFlow, casts class ids to float16
    (which corrupts those above 2,048), and sums the batch in float16.
    Probabilities that a softmax activation made are read as its logits, as there.
    The loss of a class id outside [0, classes) is NaN, as Keras' own is on a GPU.
    """

    def _prepared(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        logits = outputs.logits_of(y_pred)
        self._reads_logits = self.from_logits or logits is not None
        return super()._prepared(y_true, y_pred if logits is None else logits)

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        sparse = (
            categorical.sparse_from_logits
            if self._reads_logits
            else categorical.sparse_from_probabilities
        )
        if self.ignore_class is None:
            return sparse(labels, predictions)
        valid = ops.not_equal(labels, self.ignore_class)
        # As Keras has it, the mean is over what isn't ignored.
        return dataclasses.replace(
            sparse(ops.where(valid, labels, 0), predictions), valid=valid
        )


@keras.saving.register_keras_serializable(package="keras16")
class CategoricalGeneralizedCrossEntropy(
    _Sparse, keras.losses.CategoricalGeneralizedCrossEntropy
):
    """Keras' loss of that name; labels may have a last axis of length 1 as well."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return categorical.generalized(labels, predictions, self.q)
