"""Cross-entropies over classes, of one weight a class."""

from __future__ import annotations

from typing import Any

import keras

from keras16.backend import outputs
from keras16.losses._sixteen import SixteenBit
from keras16.numerics import categorical, shapes
from keras16.numerics.terms import Terms


class _Categorical(SixteenBit):
    """What both share: the class axis, and how they read probabilities."""

    takes_logits_of_softmax = True

    def _prepared(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        logits = outputs.logits_of(y_pred) if self.takes_logits_of_softmax else None
        self._reads_logits = self.from_logits or logits is not None  # type: ignore[attr-defined]
        pair = super()._prepared(y_true, y_pred if logits is None else logits)
        labels, predictions = (shapes.classes_last(x, self.axis) for x in pair)  # type: ignore[attr-defined]
        return labels, predictions


@keras.saving.register_keras_serializable(package="keras16")
class CategoricalCrossentropy(_Categorical, keras.losses.CategoricalCrossentropy):
    """Keras' loss of that name.

    Keras' own casts logits to float32 on TensorFlow, and sums in float16.
    Probabilities that a softmax activation made are read as its logits, as there.
    """

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        smoothing = self.label_smoothing
        if self._reads_logits:
            return categorical.from_logits(labels, predictions, smoothing)
        return categorical.focal_from_probabilities(
            labels, predictions, 1, 0, smoothing
        )


@keras.saving.register_keras_serializable(package="keras16")
class CategoricalFocalCrossentropy(
    _Categorical, keras.losses.CategoricalFocalCrossentropy
):
    """Keras' loss of that name."""

    takes_logits_of_softmax = False  # neither does Keras'

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        focal = (
            categorical.focal_from_logits
            if self._reads_logits
            else categorical.focal_from_probabilities
        )
        return focal(labels, predictions, self.alpha, self.gamma, self.label_smoothing)
