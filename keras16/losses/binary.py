"""Cross-entropies of independent yes-or-no labels."""

from __future__ import annotations

from typing import Any

import keras

from keras16.backend import outputs
from keras16.losses._sixteen import SixteenBit
from keras16.numerics import binary
from keras16.numerics.terms import Terms, of_elements


class _Binary(SixteenBit):
    """What both share: probabilities that a sigmoid made are read as logits."""

    takes_logits_of_sigmoid = True

    def _prepared(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        logits = outputs.logits_of(y_pred) if self.takes_logits_of_sigmoid else None
        self._reads_logits = self.from_logits or logits is not None  # type: ignore[attr-defined]
        return super()._prepared(y_true, y_pred if logits is None else logits)

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        answers = binary.smoothed_labels(labels, self.label_smoothing)  # type: ignore[attr-defined]
        chances = self._chances(predictions)
        loss, slope = self._elements(answers, chances)
        return of_elements(loss, slope, self.axis)  # type: ignore[attr-defined]

    def _chances(self, predictions: Any) -> binary.Chances:
        if self._reads_logits:
            return binary.chances_of_logits(predictions)
        return binary.chances_of_probabilities(predictions)

    def _elements(self, labels: binary.Labels, chances: binary.Chances) -> Any:
        """(loss, derivative by the prediction), elementwise."""
        slope = binary.slope(labels, chances, self._reads_logits)
        return binary.cross_entropy(labels, chances), slope


@keras.saving.register_keras_serializable(package="keras16")
class BinaryCrossentropy(_Binary, keras.losses.BinaryCrossentropy):
    """Keras' loss of that name; p = 1 with the label 1 is no NaN.

    Keras' own rounds 1 - 1e-7 to 1, whose complement's logarithm is infinite.
    From logits there is nothing to keep in bounds: prefer `from_logits=True`,
    since a probability above 0.99976 is 1 in float16 and has no gradient then.
    """


@keras.saving.register_keras_serializable(package="keras16")
class BinaryFocalCrossentropy(_Binary, keras.losses.BinaryFocalCrossentropy):
    """Keras' loss of that name."""

    takes_logits_of_sigmoid = False  # neither does Keras'

    def _chances(self, predictions: Any) -> binary.Chances:
        if self._reads_logits:
            return binary.chances_of_logits_clipped(predictions)
        return super()._chances(predictions)

    def _elements(self, labels: binary.Labels, chances: binary.Chances) -> Any:
        balanced = self.apply_class_balancing
        weight = binary.balance(labels, self.alpha) if balanced else None
        return binary.focal(labels, chances, self.gamma, weight, self._reads_logits)
