"""F scores from exact counts."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras16.metrics._arithmetic import Host, Sixteen
from keras16.numerics import accumulators, bits, scaled

ROWS = ("true_positives", "false_positives", "false_negatives", "labelled")


@keras.saving.register_keras_serializable(package="keras16.metrics")
class FBetaScore(keras.metrics.FBetaScore):
    """Keras' metric of that name, from exact counts.

    Keras adds 1e-7 to each divisor; in 16 bits a quotient by 0 is 0 instead.
    """

    def _build(self, y_true_shape: Any, y_pred_shape: Any) -> None:
        if not bits.is_16_bit(self.dtype):
            super()._build(y_true_shape, y_pred_shape)
            return
        if len(y_pred_shape) != 2 or len(y_true_shape) != 2:
            raise ValueError(
                f"{type(self).__name__} expects labels and predictions of shape "
                f"(batch_size, classes). Received: {y_true_shape}, {y_pred_shape}."
            )
        shape = (len(ROWS), y_pred_shape[-1], accumulators.WORDS)
        self.counted = self.add_variable(shape, "zeros", dtype="int32", name="counted")
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if not bits.is_16_bit(self.dtype):
            super().update_state(y_true, y_pred, sample_weight)
            return
        y_true, y_pred = (ops.cast(x, self.dtype) for x in (y_true, y_pred))
        if not self._built:
            self._build(y_true.shape, y_pred.shape)
        chosen = ops.cast(self._chosen(y_pred), self.dtype)
        weight = ops.ones_like(y_pred)
        if sample_weight is not None:
            weight = weight * ops.expand_dims(ops.cast(sample_weight, self.dtype), 1)
        yes, no = y_true * weight, (1 - y_true) * weight
        self._add(ops.stack([chosen * yes, chosen * no, (1 - chosen) * yes, yes]))

    def _chosen(self, y_pred: Any) -> Any:
        if self.threshold is not None:
            return bits.above(y_pred, self.threshold)
        highest = ops.max(y_pred, axis=-1, keepdims=True, initial=-math.inf)
        return ops.logical_and(y_pred >= highest, y_pred != 0)

    def _add(self, values: Any) -> None:
        """Adds [rows, batch, classes] to the counts of each row and class."""
        rows, classes, _ = self.counted.shape
        cells = np.arange(rows * classes, dtype="int32").reshape(rows, 1, classes)
        segments = ops.reshape(ops.broadcast_to(cells, ops.shape(values)), (-1,))
        sums = accumulators.segment_totals(values, segments, rows * classes)
        counted = ops.convert_to_tensor(self.counted)
        sums = ops.reshape(sums, counted.shape)
        self.counted.assign(accumulators.carried(counted + sums))

    def reset_state(self) -> None:
        for variable in self.variables:
            variable.assign(ops.zeros(variable.shape, variable.dtype))

    def result(self) -> Any:
        if not bits.is_16_bit(self.dtype):
            return super().result()
        words = ops.convert_to_tensor(self.counted)
        if self.average == "micro":
            words = ops.sum(words, axis=1)
        return scaled.value(self._formula(words, Sixteen(self.dtype)))

    def on_host(self) -> Any:
        """The result in float64."""
        if not bits.is_16_bit(self.dtype):
            return np.asarray(ops.convert_to_numpy(self.result()), "float64")
        words = ops.convert_to_numpy(self.counted).astype("int64")
        words = words.sum(axis=1) if self.average == "micro" else words
        return Host().result(self._formula(words, Host()))

    def _formula(self, words: Any, arithmetic: Any) -> Any:
        counts = arithmetic.counts(words)
        right, wrong, missed, labelled = (counts[i] for i in range(len(ROWS)))
        squared = self.beta**2
        # (1 + b2) p r / (b2 p + r), with p and r written out.
        score = arithmetic.ratio(
            right * (1 + squared), right * (1 + squared) + missed * squared + wrong
        )
        if self.average == "weighted":
            shares = arithmetic.ratio(score * labelled, arithmetic.total(labelled))
            return arithmetic.total(shares)
        if self.average == "macro":
            return arithmetic.total(score) * (1 / self.counted.shape[1])
        return score


@keras.saving.register_keras_serializable(package="keras16.metrics")
class F1Score(FBetaScore, keras.metrics.F1Score):
    """Keras' metric of that name, from exact counts."""

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: Any = None,
    ) -> None:
        keras.metrics.F1Score.__init__(self, average, threshold, name, dtype)
