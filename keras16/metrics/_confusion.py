"""Counts of right and wrong positives and negatives at many thresholds, exact.

Each prediction falls between two thresholds; what is kept is how many (or with what
weight) fell there, apart for labels of yes and no. All four counts at all thresholds
are sums of these. Keras' own adds ones in float16, which stops at 2,048.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
from keras import ops

from keras16.metrics._arithmetic import Host, Sixteen
from keras16.numerics import accumulators, bits, shapes


@dataclasses.dataclass(frozen=True)
class Counts:
    """What is above and not above each threshold, [thresholds, ...].

    Attributes:
        true_positives, false_positives, true_negatives, false_negatives: As named.
        true_steps, false_steps: How many positives a threshold has more than the
            next, [thresholds - 1, ...]: exact, where a difference would not be.
    """

    true_positives: Any
    false_positives: Any
    true_negatives: Any
    false_negatives: Any
    true_steps: Any
    false_steps: Any


class Confusion:
    """A mixin before one of Keras' metrics that has `thresholds`.

    It expects `_formula(counts, arithmetic)`, the metric's result.
    """

    def _start(self, *, name: Any, dtype: Any, labels: int | None = None) -> None:
        """In place of Keras' own `__init__`, which makes floating variables."""
        keras.metrics.Metric.__init__(self, name=name, dtype=dtype)
        shape = (2, len(self._cuts()) + 1, *([] if labels is None else [labels]))
        self.counted = self.add_variable(  # type: ignore[attr-defined]
            (*shape, accumulators.WORDS), "zeros", dtype="int32", name="counted"
        )

    def _cuts(self) -> list[float]:
        return [float(cut) for cut in self.thresholds]  # type: ignore[attr-defined]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if not bits.is_16_bit(self.dtype):  # type: ignore[attr-defined]
            super().update_state(y_true, y_pred, sample_weight)  # type: ignore[misc]
            return
        y_true, y_pred, weight = self._prepared(y_true, y_pred, sample_weight)
        cuts = ops.convert_to_tensor(
            _orders(sorted(self._cuts()), bits.name_of(y_pred))
        )
        bucket = ops.cast(
            ops.searchsorted(cuts, ops.reshape(bits.order(y_pred), (-1,))), "int32"
        )
        is_yes = ops.cast(ops.reshape(y_true, (-1,)) != 0, "int32")
        self._count(bucket + is_yes * (len(self._cuts()) + 1), y_pred, weight)

    def _count(self, segments: Any, y_pred: Any, weight: Any) -> None:
        shape = tuple(self.counted.shape)
        if len(shape) == 4:  # one count a label
            label = ops.broadcast_to(
                ops.arange(shape[2], dtype="int32"), ops.shape(y_pred)
            )
            segments = segments * shape[2] + ops.reshape(label, (-1,))
        count = int(np.prod(shape[:-1]))
        sums = accumulators.segment_totals(weight, segments, count)
        counted = ops.convert_to_tensor(self.counted)
        self.counted.assign(accumulators.carried(counted + ops.reshape(sums, shape)))

    def _prepared(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Any:
        """Labels, predictions and weights of one shape, in 16 bits."""
        dtype = self.dtype  # type: ignore[attr-defined]
        y_true, y_pred = (ops.cast(x, dtype) for x in (y_true, y_pred))
        y_true, y_pred = shapes.same_shape(y_true, y_pred)
        # NaN is above no threshold.
        y_pred = ops.where(ops.isnan(y_pred), -np.inf, y_pred)
        if getattr(self, "top_k", None) is not None:
            y_pred = _only_top(y_pred, self.top_k)  # type: ignore[attr-defined]
        weight = _weights(sample_weight, y_pred)
        if getattr(self, "class_id", None) is not None:
            y_true, y_pred, weight = (
                x[..., self.class_id]  # type: ignore[attr-defined]
                for x in (y_true, y_pred, weight)
            )
        return y_true, y_pred, weight

    def reset_state(self) -> None:
        if not bits.is_16_bit(self.dtype):  # type: ignore[attr-defined]
            super().reset_state()  # type: ignore[misc]
            return
        self.counted.assign(ops.zeros(self.counted.shape, self.counted.dtype))

    def result(self) -> Any:
        if not bits.is_16_bit(self.dtype):  # type: ignore[attr-defined]
            return super().result()  # type: ignore[misc]
        words = ops.convert_to_tensor(self.counted)
        arithmetic = Sixteen(self.dtype)  # type: ignore[attr-defined]
        return arithmetic.result(
            self._formula(self._counts(words, arithmetic), arithmetic)
        )

    def on_host(self) -> Any:
        """The result in float64."""
        if not bits.is_16_bit(self.dtype):  # type: ignore[attr-defined]
            return np.asarray(ops.convert_to_numpy(super().result()), "float64")  # type: ignore[misc]
        words, host = ops.convert_to_numpy(self.counted), Host()
        return host.result(self._formula(self._counts(words, host), host))

    def _counts(self, words: Any, arithmetic: Any) -> Counts:
        """[2, thresholds + 1, ..., WORDS] int32 -> the counts, in the order given."""
        is_host = isinstance(arithmetic, Host)
        words = words.astype("int64") if is_host else words
        # At most 200 thresholds and digits of 14 bits: no int32 overflows.
        below = np.cumsum(words, axis=1) if is_host else ops.cumsum(words, axis=1)
        above = below[:, -1:] - below
        place = np.argsort(np.argsort(self._cuts(), kind="stable"), kind="stable")
        order = place if is_host else ops.convert_to_tensor(place.astype("int32"))

        if is_host:
            sums = np.concatenate([above, below])[:, order]
        else:
            sums = ops.take(ops.concatenate([above, below], axis=0), order, axis=1)
        # All at once: each call traces some hundred operations.
        counts = arithmetic.counts(sums)
        steps = arithmetic.counts(words[:, 1:-1])
        return Counts(counts[1], counts[0], counts[2], counts[3], steps[1], steps[0])

    def _formula(self, counts: Counts, arithmetic: Any) -> Any:
        raise NotImplementedError


def _orders(cuts: list[float], dtype: str) -> np.ndarray:
    """Thresholds as whole numbers that compare as 16-bit predictions do."""
    floors = bits.floor_cast(cuts, dtype)
    raw = floors.view("uint16").astype("int32")
    magnitude = raw & 0x7FFF
    return np.where(raw == magnitude, magnitude, -magnitude).astype("int32")


def _only_top(y_pred: Any, k: int) -> Any:
    """The k largest along the last axis; minus infinity in place of the others."""
    _, chosen = ops.top_k(bits.order(y_pred), k)
    classes = ops.arange(y_pred.shape[-1], dtype="int32")
    is_chosen = ops.equal(ops.expand_dims(ops.cast(chosen, "int32"), -1), classes)
    return ops.where(ops.any(is_chosen, axis=-2), y_pred, -np.inf)


def _weights(sample_weight: Any, y_pred: Any) -> Any:
    """One weight a prediction."""
    if sample_weight is None:
        return ops.ones_like(y_pred)
    weight = ops.cast(sample_weight, y_pred.dtype)
    while len(weight.shape) < len(y_pred.shape):
        weight = ops.expand_dims(weight, -1)
    return ops.broadcast_to(weight, ops.shape(y_pred))


def starts_in_16_bits(dtype: Any) -> bool:
    """Whether a metric made with this dtype is 16-bit."""
    policy = keras.dtype_policies.get(dtype or keras.config.floatx())
    return bits.is_16_bit(policy.compute_dtype)
