"""Mean cross-entropies and divergences, per example and exact."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.backend import outputs
from keras16.metrics import mean
from keras16.metrics._of_terms import MeanOf
from keras16.metrics.mean import ExactMean
from keras16.numerics import binary, categorical, scaled, shapes
from keras16.numerics.scaled import Scaled
from keras16.numerics.terms import Terms


@keras.saving.register_keras_serializable(package="keras16.metrics")
class KLDivergence(MeanOf, keras.metrics.KLDivergence, ExactMean):
    """Keras' metric of that name, exact over any number of samples."""

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        return categorical.divergence(labels, predictions)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class BinaryCrossentropy(MeanOf, keras.metrics.BinaryCrossentropy, ExactMean):
    """Keras' metric of that name; p = 1 with the label 1 is no NaN."""

    def _values(self, y_true: Any, y_pred: Any) -> Scaled:
        logits = outputs.logits_of(y_pred)
        y_pred = y_pred if logits is None else logits
        labels, predictions = shapes.same_shape(
            *(ops.cast(x, self.dtype) for x in (y_true, y_pred))
        )
        chances = (
            binary.chances_of_logits(predictions)
            if self.from_logits or logits is not None
            else binary.chances_of_probabilities(predictions)
        )
        answers = binary.smoothed_labels(labels, self.label_smoothing)
        return binary.cross_entropy(answers, chances)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class CategoricalCrossentropy(MeanOf, keras.metrics.CategoricalCrossentropy, ExactMean):
    """Keras' metric of that name, exact over any number of samples."""

    def _values(self, y_true: Any, y_pred: Any) -> Scaled:
        logits = outputs.logits_of(y_pred)
        y_pred = y_pred if logits is None else logits
        pair = (ops.cast(x, self.dtype) for x in (y_true, y_pred))
        labels, predictions = (shapes.classes_last(x, self.axis) for x in pair)
        smoothing = self.label_smoothing
        if self.from_logits or logits is not None:
            return categorical.from_logits(labels, predictions, smoothing).losses
        return categorical.focal_from_probabilities(
            labels, predictions, 1, 0, smoothing
        ).losses


@keras.saving.register_keras_serializable(package="keras16.metrics")
class SparseCategoricalCrossentropy(
    MeanOf, keras.metrics.SparseCategoricalCrossentropy, ExactMean
):
    """Keras' metric of that name, for class ids below 2**31.

    Every example's loss keeps its own exponent and is added exactly. The loss
    tracker, by contrast, is given the mean of each batch, rounded to 16 bits.
    """

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        # As Keras has it: what is ignored counts with a loss of 0 where there are
        # no weights, and not at all where there are some.
        if sample_weight is not None and self.ignore_class is not None:
            labels = shapes.class_ids(y_true, y_pred)
            valid = ops.not_equal(labels, self.ignore_class)
            sample_weight = mean.masked_weight(sample_weight, valid, self.dtype)
        super().update_state(y_true, y_pred, sample_weight)

    def _values(self, y_true: Any, y_pred: Any) -> Scaled:
        logits = outputs.logits_of(y_pred)
        predictions = ops.cast(y_pred if logits is None else logits, self.dtype)
        labels = shapes.class_ids(y_true, predictions)
        sparse = (
            categorical.sparse_from_logits
            if self.from_logits or logits is not None
            else categorical.sparse_from_probabilities
        )
        if self.ignore_class is None:
            return sparse(labels, predictions).losses
        valid = ops.not_equal(labels, self.ignore_class)
        losses = sparse(ops.where(valid, labels, 0), predictions).losses
        return scaled.masked(valid, losses)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SparseCategoricalCrossentropy:
        """The metric of a saved config.

        Keras' always say `from_logits`; keras16 0.1's did not: they were of logits.
        """
        return cls(**{"from_logits": True, **config})
