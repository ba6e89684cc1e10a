"""The area under a curve of rates at thresholds."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras16.errors import UserError
from keras16.metrics._confusion import Confusion, Counts, starts_in_16_bits
from keras16.metrics.confusion import precision, recall
from keras16.numerics import accumulators


@keras.saving.register_keras_serializable(package="keras16.metrics")
class AUC(Confusion, keras.metrics.AUC):
    """Keras' metric of that name, from exact counts.

    The widths of the strips under the curve are counts themselves, not differences
    of rounded rates. In 16 bits, `curve="PRGAIN"` is refused.

    Args: as `keras.metrics.AUC`; `multi_label` wants `num_labels` in 16 bits.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._given_weights = kwargs.get("label_weights")
        super().__init__(*args, **kwargs)
        if not starts_in_16_bits(self.dtype):
            return
        if self.curve.value == "PRGAIN":
            raise UserError("AUC has no 16-bit curve='PRGAIN': use 'ROC' or 'PR'.")
        if self.multi_label and not self.num_labels:
            raise UserError("AUC of multi_label wants num_labels in 16 bits.")

    def _build(self, shape: Any) -> None:
        if not starts_in_16_bits(self.dtype):
            super()._build(shape)
            return
        self._num_labels: int = shape[1] if self.multi_label else 0
        self._build_input_shape = shape
        words = (2, self.num_thresholds + 1, *self._labels(), accumulators.WORDS)
        self.counted = self.add_variable(words, "zeros", dtype="int32", name="counted")
        self._built = True

    def _labels(self) -> list[int]:
        return [self._num_labels] if self.multi_label else []

    def _prepared(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        if self._from_logits:
            y_pred = keras.activations.sigmoid(y_pred)
        y_true, y_pred, weight = super()._prepared(y_true, y_pred, sample_weight)
        if self.label_weights is not None and not self.multi_label:
            weight = weight * ops.cast(self.label_weights, weight.dtype)
        return y_true, y_pred, weight

    def _formula(self, counts: Counts, arithmetic: Any) -> Any:
        strips = self._strips(counts, arithmetic)
        if not self.multi_label:
            return arithmetic.total(strips)
        areas = arithmetic.total(strips, 0)
        weights = np.ones(self._num_labels)
        if self.label_weights is not None:
            weights = np.asarray(self._given_weights, "float64")
        shares = arithmetic.constant(weights / weights.sum())
        return arithmetic.total(areas * shares)

    def _strips(self, counts: Counts, arithmetic: Any) -> Any:
        """The area between each threshold and the next."""
        found = counts.true_positives + counts.false_negatives
        method, curve = self.summation_method.value, self.curve.value
        if curve == "PR" and method == "interpolation":
            return _interpolated(counts, found, arithmetic)
        if curve == "PR":
            steps, whole = counts.true_steps, found
            heights = precision(counts, arithmetic)
        else:
            steps = counts.false_steps
            whole = counts.false_positives + counts.true_negatives
            heights = recall(counts, arithmetic)
        low, high = heights[:-1], heights[1:]
        width = arithmetic.ratio(steps, whole[1:])
        if method == "interpolation":
            return width * (low + high) * 0.5
        rises = arithmetic.positive(high - low)
        pair = (low, high) if method == "minoring" else (high, low)
        return width * arithmetic.where(rises, *pair)


def _interpolated(counts: Counts, found: Any, arithmetic: Any) -> Any:
    """Strips under the precision-recall curve between two thresholds.

    Source: Davis and Goadrich, 2006, as Keras has it. The logarithm of a quotient
    near 1 is log1p of a count over a count.
    """
    steps = counts.true_steps + counts.false_steps
    after = (counts.true_positives + counts.false_positives)[1:]
    slope = arithmetic.ratio(counts.true_steps, steps)
    intercept = counts.true_positives[1:] - slope * after
    logarithm = arithmetic.log1p(arithmetic.ratio(steps, after))
    return arithmetic.ratio(
        slope * (counts.true_steps + intercept * logarithm), found[1:]
    )
