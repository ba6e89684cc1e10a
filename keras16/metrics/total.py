"""Sums, and means of a function of your own."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.backend import outputs
from keras16.metrics.mean import ExactMean, masked_weight, weight_of
from keras16.numerics import accumulators, bits, scaled


@keras.saving.register_keras_serializable(package="keras16.metrics")
class Sum(keras.metrics.Sum):
    """Keras' metric of that name; the sum is exact, its `result` rounded once."""

    def __init__(self, name: str = "sum", dtype: Any = None) -> None:
        policy = keras.dtype_policies.get(dtype or keras.config.floatx())
        if not bits.is_16_bit(policy.compute_dtype):
            super().__init__(name=name, dtype=dtype)
            return
        keras.metrics.Metric.__init__(self, name=name, dtype=dtype)
        self.total = self.add_variable(
            (accumulators.WORDS,), "zeros", dtype="int32", name="total"
        )

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        if not bits.is_16_bit(self.dtype):
            super().update_state(values, sample_weight)
            return
        entries = scaled.of(ops.cast(values, self.dtype))
        weight = weight_of(entries, sample_weight)
        entries = entries if weight is None else entries * weight
        total = ops.convert_to_tensor(self.total)
        self.total.assign(accumulators.add(total, entries))

    def reset_state(self) -> None:
        self.total.assign(ops.zeros(self.total.shape, self.total.dtype))

    def result(self) -> Any:
        if not bits.is_16_bit(self.dtype):
            return super().result()
        one = accumulators.add_count(ops.convert_to_tensor(accumulators.zero()), 1)
        return accumulators.ratio(ops.convert_to_tensor(self.total), one, self.dtype)

    def on_host(self) -> float:
        """The sum in float64; NaN where it isn't finite."""
        total = ops.convert_to_numpy(self.total)
        exact = bits.is_16_bit(self.dtype)
        return accumulators.to_float(total) if exact else float(total)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class MeanMetricWrapper(keras.metrics.MeanMetricWrapper, ExactMean):
    """Keras' metric of that name: the mean of a function, exact over the samples.

    The function's own steps are not ours: `keras16.audit` says whether they are
    16-bit. It is given predictions in the metric's dtype, as those of losses are: the
    float16 outputs of a mixed model don't go with float32 targets.
    """

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_pred = ops.convert_to_tensor(y_pred)
        if bits.is_16_bit(y_pred.dtype) and not bits.is_16_bit(self.dtype):
            mask = outputs.mask_of(y_pred)
            sample_weight = masked_weight(sample_weight, mask, self.dtype)
            y_pred = ops.cast(y_pred, self.dtype)
        super().update_state(y_true, y_pred, sample_weight)
