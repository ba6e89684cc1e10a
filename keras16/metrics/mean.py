"""`Mean` with exact sums, and how Keras' own `Mean` is given them."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras16.backend import hooks
from keras16.numerics import accumulators, bits, scaled, shapes
from keras16.numerics.scaled import Scaled


class ExactMean(keras.metrics.Mean):
    """`Mean` as a base after Keras' own subclasses of it, whatever they take."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _init(keras.metrics.Mean.__init__, self, *args, **kwargs)

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        _update_state(super().update_state.__func__, self, *args, **kwargs)

    def reset_state(self) -> None:
        _reset_state(super().reset_state.__func__, self)

    def result(self) -> Any:
        return _result(super().result.__func__, self)


@keras.saving.register_keras_serializable(package="keras16.metrics")
class Mean(ExactMean):
    """The (weighted) mean of everything it was given, without drift or overflow.

    Keras' own adds in the metric's dtype: a float16 count stops at 2,048 and a
    float16 total is infinite past 65,504. Here, both are exact integers, so any
    number of samples is right. `result()` is the quotient rounded to the dtype;
    `on_host(metric)` is the quotient in float64.

    Args:
        name: Name of the metric.
        dtype: Defaults to Keras' floatx. At 32 bits this is Keras' own `Mean`.
    """

    def __init__(self, name: str = "mean", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)


def install() -> None:
    """Gives Keras' own `Mean` exact sums where it is 16 bits wide.

    The loss tracker and every accuracy are built on that class, so that they are
    right at once; float32 instances keep Keras' methods.
    """
    hooks.replace(keras.metrics.Mean, "__init__", _init)
    hooks.replace(keras.metrics.Mean, "update_state", _update_state)
    hooks.replace(keras.metrics.Mean, "reset_state", _reset_state)
    hooks.replace(keras.metrics.Mean, "result", _result)


def mean_on_host(metric: Any) -> float:
    """The mean that a metric holds, divided in float64; NaN where it isn't finite.

    Args:
        metric: A `keras.metrics.Mean` or a subclass of it, at any precision.
    """
    total, count = _value(metric, metric.total), _value(metric, metric.count)
    if count:
        return total / count
    return total if math.isnan(total) else 0.0


def on_host(metric: Any) -> Any:
    """The result of a metric in float64, from its exact sums.

    Args:
        metric: A metric of keras16, or a `keras.metrics.Mean` at any precision.

    Returns:
        A float, or a float64 array where the metric has several results; NaN
        where what was summed isn't finite.
    """
    own = getattr(metric, "on_host", None)
    return mean_on_host(metric) if own is None else own()


def not_finite(metric: Any) -> Any:
    """Whether a metric was given NaN or infinity: a boolean scalar tensor."""
    total = ops.convert_to_tensor(metric.total)
    if is_exact(metric):
        return total[accumulators.DIGITS] > 0
    return ops.logical_not(ops.isfinite(total))


def is_exact(metric: Any) -> bool:
    """Whether a metric keeps its sums in integers."""
    return getattr(metric, "_keras16_exact", False)


def _value(metric: Any, variable: Any) -> float:
    on_host = ops.convert_to_numpy(variable)
    return accumulators.to_float(on_host) if is_exact(metric) else float(on_host)


def _init(original, self, name="mean", dtype=None):
    policy = keras.dtype_policies.get(dtype or keras.config.floatx())
    if not bits.is_16_bit(policy.compute_dtype):
        original(self, name=name, dtype=dtype)
        return
    keras.metrics.Metric.__init__(self, name=name, dtype=dtype)
    self._keras16_exact = True
    for part in ("total", "count"):
        words = self.add_variable(
            (accumulators.WORDS,), "zeros", dtype="int32", name=part
        )
        setattr(self, part, words)


def _update_state(original, self, values, sample_weight=None):
    if not is_exact(self):
        original(self, values, sample_weight)
        return
    values = ops.cast(values, self.dtype)
    total, count = (ops.convert_to_tensor(v) for v in (self.total, self.count))
    if _is_whole_scalar(sample_weight) and not len(values.shape):
        # The loss tracker: the mean over a batch, weighted by the batch's size.
        samples = ops.cast(sample_weight, "int32")
        self.total.assign(accumulators.add_multiple(total, values, samples))
        self.count.assign(accumulators.add_count(count, samples))
        return
    add(self, scaled.of(values), sample_weight)


def _reset_state(original, self):
    if not is_exact(self):
        original(self)
        return
    self.total.assign(accumulators.zero())
    self.count.assign(accumulators.zero())


def _result(original, self):
    if not is_exact(self):
        return original(self)
    total, count = (ops.convert_to_tensor(v) for v in (self.total, self.count))
    return accumulators.ratio(total, count, self.dtype)


def _is_whole_scalar(weight: Any) -> bool:
    if weight is None or isinstance(weight, (int, float)):
        return isinstance(weight, int)
    dtype = keras.backend.standardize_dtype(weight.dtype)
    return not len(weight.shape) and "int" in dtype


def add(metric: Any, values: Scaled, sample_weight: Any = None) -> None:
    """Adds values to an exact mean, none of which need be in float16's range.

    Args:
        metric: A metric with `is_exact`.
        values: [samples, ...], reduced to one a sample as Keras reduces them.
        sample_weight: One weight a value or a sample, or None.
    """
    weight = weight_of(values, sample_weight)
    weighted = values if weight is None else values * weight
    total, count = (ops.convert_to_tensor(v) for v in (metric.total, metric.count))
    shape = ops.shape(values.x)
    sums = _over(accumulators.total(weighted), shape[1:])
    metric.total.assign(accumulators.carried(total + sums))
    if weight is None:
        samples = ops.cast(shape[0] if len(shape) else 1, "int32")
        metric.count.assign(accumulators.add_count(count, samples))
        return
    # The mean of the weights along every axis but the first, as of the values.
    sums = _over(accumulators.total(weight), ops.shape(weight.x)[1:])
    metric.count.assign(accumulators.carried(count + sums))


def weight_of(values: Scaled, sample_weight: Any) -> Scaled | None:
    """One weight a value, [samples, ...], its trailing axes perhaps of length 1."""
    if sample_weight is None:
        return None
    weight = shapes.same_rank(ops.cast(sample_weight, values.dtype), values.x)
    kept = ops.shape(values.x)[: len(weight.shape)]
    weight = ops.broadcast_to(weight, kept)
    while len(weight.shape) < len(values.x.shape):
        weight = ops.expand_dims(weight, -1)
    return scaled.of(weight)


def _over(words: Any, sizes: Any) -> Any:
    """An exact sum over the lengths of some axes."""
    for size in sizes:
        if not isinstance(size, int) or size > 1:
            words = accumulators.divided(words, size)
    return words


def masked_weight(sample_weight: Any, mask: Any, dtype: str) -> Any:
    """Weights that are 0 where a mask is false; None where there is neither."""
    if mask is None:
        return sample_weight
    mask = ops.cast(mask, dtype)
    if sample_weight is None:
        return mask
    weight = ops.cast(sample_weight, dtype)
    if len(weight.shape) < len(mask.shape):
        weight = ops.expand_dims(weight, -1)
    return weight * mask
