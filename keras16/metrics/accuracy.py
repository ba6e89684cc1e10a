"""Shares of right answers: whole numbers compared, and counted exactly."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.backend import outputs
from keras16.metrics import mean
from keras16.metrics.mean import ExactMean
from keras16.numerics import bits, scaled, shapes


class _Hits:
    """A mixin before one of Keras' accuracies and `keras16.metrics.Mean`."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if not bits.is_16_bit(self.dtype):  # type: ignore[attr-defined]
            super().update_state(y_true, y_pred, sample_weight)  # type: ignore[misc]
            return
        dtype = self.dtype  # type: ignore[attr-defined]
        weight = mean.masked_weight(sample_weight, outputs.mask_of(y_pred), dtype)
        y_true, y_pred = (_number(x, dtype) for x in (y_true, y_pred))
        hits = ops.cast(self._hits(y_true, y_pred), dtype)
        mean.add(self, scaled.of(hits), weight)

    def _hits(self, y_true: Any, y_pred: Any) -> Any:
        """Boolean [...]: which answers are right."""
        raise NotImplementedError


@keras.saving.register_keras_serializable(package="keras16.metrics")
class Accuracy(_Hits, keras.metrics.Accuracy, ExactMean):
    """Keras' metric of that name; class ids given as integers stay integers."""

    def _hits(self, y_true: Any, y_pred: Any) -> Any:
        y_true = ops.cast(y_true, y_pred.dtype)
        return ops.equal(*shapes.same_shape(y_true, y_pred))


@keras.saving.register_keras_serializable(package="keras16.metrics")
class BinaryAccuracy(_Hits, keras.metrics.BinaryAccuracy, ExactMean):
    """Keras' metric of that name."""

    def _hits(self, y_true: Any, y_pred: Any) -> Any:
        y_true, y_pred = shapes.same_shape(ops.cast(y_true, self.dtype), y_pred)
        positive = bits.above(y_pred, self.threshold)
        return ops.equal(y_true, ops.cast(positive, self.dtype))


@keras.saving.register_keras_serializable(package="keras16.metrics")
class CategoricalAccuracy(_Hits, keras.metrics.CategoricalAccuracy, ExactMean):
    """Keras' metric of that name; ties go to the first class."""

    def _hits(self, y_true: Any, y_pred: Any) -> Any:
        return ops.equal(bits.argmax(y_true), bits.argmax(y_pred))


@keras.saving.register_keras_serializable(package="keras16.metrics")
class SparseCategoricalAccuracy(
    _Hits, keras.metrics.SparseCategoricalAccuracy, ExactMean
):
    """Keras' metric of that name, for class ids below 2**31.

    Keras' own casts class ids to float16, which corrupts those above 2,048.
    """

    def _hits(self, y_true: Any, y_pred: Any) -> Any:
        return ops.equal(shapes.class_ids(y_true, y_pred), bits.argmax(y_pred))


@keras.saving.register_keras_serializable(package="keras16.metrics")
class TopKCategoricalAccuracy(_Hits, keras.metrics.TopKCategoricalAccuracy, ExactMean):
    """Keras' metric of that name; a tie at the k-th place counts, as there."""

    def _hits(self, y_true: Any, y_pred: Any) -> Any:
        return in_top_k(bits.argmax(y_true), y_pred, self.k)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class SparseTopKCategoricalAccuracy(
    _Hits, keras.metrics.SparseTopKCategoricalAccuracy, ExactMean
):
    """Keras' metric of that name, which raises an error in float16."""

    def _hits(self, y_true: Any, y_pred: Any) -> Any:
        if not self.from_sorted_ids:
            return in_top_k(shapes.class_ids(y_true, y_pred), y_pred, self.k)
        found = ops.cast(y_pred[..., : self.k], "int32")
        wanted = ops.expand_dims(shapes.class_ids(y_true, y_pred), -1)
        return ops.any(ops.equal(wanted, found), axis=-1)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class AnyAccuracy(_Hits, keras.metrics.MeanMetricWrapper, ExactMean):
    """What Keras takes "accuracy" for, chosen by the shapes that it is given.

    Binary for predictions [..., 1], sparse where the labels have no class axis,
    categorical otherwise.
    """

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(_any_hits, name=name, dtype=dtype)
        self._direction = "up"

    def _hits(self, y_true: Any, y_pred: Any) -> Any:
        return _any_hits(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": self.dtype}


def in_top_k(ids: Any, scores: Any, k: int) -> Any:
    """Whether fewer than k classes have a higher score than the labelled one.

    Args:
        ids: [...] int32; false where one is outside [0, classes).
        scores: [..., classes]; false where the labelled one isn't finite.
        k: At least 1.
    """
    ranks = bits.order(scores) if bits.is_16_bit(scores.dtype) else scores
    chosen = ops.equal(
        ops.expand_dims(ids, -1), ops.arange(scores.shape[-1], dtype="int32")
    )
    own = ops.sum(ops.where(chosen, ranks, 0), axis=-1, keepdims=True)
    higher = ops.sum(ops.cast(ranks > own, "int32"), axis=-1)
    usable = ops.any(ops.logical_and(chosen, ops.isfinite(scores)), axis=-1)
    return ops.logical_and(usable, higher < k)


def _any_hits(y_true: Any, y_pred: Any) -> Any:
    y_true, y_pred = (ops.convert_to_tensor(x) for x in (y_true, y_pred))
    if y_pred.shape[-1] == 1:
        y_true, y_pred = shapes.same_shape(ops.cast(y_true, y_pred.dtype), y_pred)
        return ops.equal(y_true, ops.cast(y_pred > 0.5, y_true.dtype))
    if len(y_true.shape) < len(y_pred.shape) or y_true.shape[-1] == 1:
        return ops.equal(shapes.class_ids(y_true, y_pred), bits.argmax(y_pred))
    return ops.equal(bits.argmax(y_true), bits.argmax(y_pred))


def _number(x: Any, dtype: str) -> Any:
    """Integers as they are, anything else in 16 bits."""
    x = ops.convert_to_tensor(x)
    return (
        x if "int" in keras.backend.standardize_dtype(x.dtype) else ops.cast(x, dtype)
    )
