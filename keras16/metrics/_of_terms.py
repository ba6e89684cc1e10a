"""What the metrics that are means of losses share in 16 bits."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras16.backend import outputs
from keras16.metrics import mean
from keras16.numerics import bits, shapes
from keras16.numerics.scaled import Scaled
from keras16.numerics.terms import Terms


class MeanOf:
    """A mixin before one of Keras' metrics and `keras16.metrics.Mean`.

    The value of each example keeps an exponent of its own and is added exactly:
    a squared error of 300**2 is no infinity, and no number of samples drifts.
    """

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if not bits.is_16_bit(self.dtype):  # type: ignore[attr-defined]
            super().update_state(y_true, y_pred, sample_weight)  # type: ignore[misc]
            return
        dtype = self.dtype  # type: ignore[attr-defined]
        weight = mean.masked_weight(sample_weight, outputs.mask_of(y_pred), dtype)
        mean.add(self, self._values(y_true, y_pred), weight)

    def _values(self, y_true: Any, y_pred: Any) -> Scaled:
        """One value for each example, [...]."""
        y_true, y_pred = (ops.cast(x, self.dtype) for x in (y_true, y_pred))  # type: ignore[attr-defined]
        y_true, y_pred = shapes.same_shape(y_true, y_pred)
        if len(y_pred.shape) == 1:
            # Keras takes the mean along the last axis: one sample.
            y_true, y_pred = (ops.expand_dims(x, 0) for x in (y_true, y_pred))
        return elements_of(self._terms(y_true, y_pred))

    def _terms(self, labels: Any, predictions: Any) -> Terms:
        """The losses of labels and predictions of one 16-bit dtype and shape."""
        raise NotImplementedError


def elements_of(terms: Terms) -> Scaled:
    """What the losses are means of, where they are: to be added exactly."""
    return terms.losses if terms.elements is None else terms.elements
