"""Overlap of labelled and predicted regions, from a confusion matrix of integers.

Keras' own count in integers already; their results are float32, and some of their
steps too.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras16.metrics._arithmetic import Host, Sixteen
from keras16.metrics._confusion import starts_in_16_bits
from keras16.numerics import accumulators, bits, scaled


class _Overlap:
    """A mixin before one of Keras' IoU metrics: argmax, counts and result.

    A dtype of 16 bits is that of the result; the counts are exact integers, so
    that floating weights work too.
    """

    def __init__(self, *args: Any, dtype: Any = None, **kwargs: Any) -> None:
        self._sixteen = starts_in_16_bits(dtype)
        kept = None if self._sixteen else dtype
        super().__init__(*args, dtype=kept, **kwargs)  # type: ignore[call-arg]
        if not self._sixteen:
            return
        self._dtype_policy = keras.dtype_policies.get(dtype or keras.config.floatx())
        self._dtype = self._dtype_policy.compute_dtype
        shape = (self.num_classes, self.num_classes, accumulators.WORDS)  # type: ignore[attr-defined]
        self.counted = self.add_variable(shape, "zeros", dtype="int32", name="counted")  # type: ignore[attr-defined]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if not self._sixteen:
            super().update_state(y_true, y_pred, sample_weight)  # type: ignore[misc]
            return
        labels, chosen = self._ids(y_true, y_pred)
        classes = self.num_classes  # type: ignore[attr-defined]
        valid = (labels >= 0) & (labels < classes) & (chosen >= 0) & (chosen < classes)
        if self.ignore_class is not None:  # type: ignore[attr-defined]
            valid = valid & (labels != self.ignore_class)  # type: ignore[attr-defined]
        weight = ops.cast(valid, self._dtype)
        if sample_weight is not None:
            given = ops.cast(sample_weight, self._dtype)
            given = ops.reshape(given, (-1,)) if len(given.shape) else given
            weight = ops.where(valid, given, 0)
        segments = ops.where(valid, labels * classes + chosen, 0)
        sums = accumulators.segment_totals(weight, segments, classes**2)
        counted = ops.convert_to_tensor(self.counted)
        sums = ops.reshape(sums, ops.shape(counted))
        self.counted.assign(accumulators.carried(counted + sums))

    def _ids(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        """Class ids of every element, [n] int32."""
        y_true = _ids(y_true, self.sparse_y_true, self.axis)  # type: ignore[attr-defined]
        y_pred = _ids(y_pred, self.sparse_y_pred, self.axis)  # type: ignore[attr-defined]
        return ops.reshape(y_true, (-1,)), ops.reshape(y_pred, (-1,))

    def reset_state(self) -> None:
        super().reset_state()  # type: ignore[misc]
        if self._sixteen:
            self.counted.assign(ops.zeros(self.counted.shape, self.counted.dtype))

    def result(self) -> Any:
        if not self._sixteen:
            return super().result()  # type: ignore[misc]
        words = ops.convert_to_tensor(self.counted)
        return scaled.value(self._formula(words, Sixteen(self._dtype)))

    def on_host(self) -> float:
        """The result in float64."""
        if not self._sixteen:
            return float(ops.convert_to_numpy(super().result()))  # type: ignore[misc]
        words = ops.convert_to_numpy(self.counted).astype("int64")
        return Host().result(self._formula(words, Host()))

    def _formula(self, words: Any, arithmetic: Any) -> Any:
        add = np.sum if isinstance(arithmetic, Host) else ops.sum
        targets = self.target_class_ids  # type: ignore[attr-defined]
        right = arithmetic.stack([arithmetic.counts(words[i, i]) for i in targets])
        sums = add(words, axis=0) + add(words, axis=1)
        union = arithmetic.stack(
            [arithmetic.counts(sums[i] - words[i, i]) for i in targets]
        )
        overlaps = arithmetic.ratio(right, union)
        used = arithmetic.where(
            arithmetic.positive(union),
            arithmetic.constant(np.ones(len(targets))),
            arithmetic.constant(np.zeros(len(targets))),
        )
        return arithmetic.ratio(arithmetic.total(overlaps), arithmetic.total(used))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dtype": self._dtype}  # type: ignore[misc]


def _ids(x: Any, sparse: bool, axis: int) -> Any:
    if sparse:
        return ops.cast(x, "int32")
    x = ops.convert_to_tensor(x)
    last = axis in (-1, len(x.shape) - 1)
    return bits.argmax(x if last else ops.moveaxis(x, axis, -1))


@keras.saving.register_keras_serializable(package="keras16.metrics")
class IoU(_Overlap, keras.metrics.IoU):
    """Keras' metric of that name; a class without elements is left out."""


@keras.saving.register_keras_serializable(package="keras16.metrics")
class BinaryIoU(_Overlap, keras.metrics.BinaryIoU):
    """Keras' metric of that name."""

    def _ids(self, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
        y_pred = ops.cast(y_pred, self._dtype)
        # At the threshold counts as above it, here.
        below = bits.above(-y_pred, -self.threshold)
        return super()._ids(y_true, ops.logical_not(below))


@keras.saving.register_keras_serializable(package="keras16.metrics")
class MeanIoU(_Overlap, keras.metrics.MeanIoU):
    """Keras' metric of that name; a class without elements is left out."""


@keras.saving.register_keras_serializable(package="keras16.metrics")
class OneHotIoU(_Overlap, keras.metrics.OneHotIoU):
    """Keras' metric of that name."""


@keras.saving.register_keras_serializable(package="keras16.metrics")
class OneHotMeanIoU(_Overlap, keras.metrics.OneHotMeanIoU):
    """Keras' metric of that name."""
