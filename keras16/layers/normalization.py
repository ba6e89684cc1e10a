"""Normalization by statistics that are known beforehand, in 16 bits."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras16.numerics import bits


@keras.saving.register_keras_serializable(package="keras16")
class Normalization(keras.layers.Normalization):
    """Keras' layer; its variance overflows for a deviation from 256 on.

    Statistics that are arguments are kept on the host in float64. Those of `adapt`
    are taken there too, and kept in 16 bits as `mean`, what that leaves out
    (`mean_residual`) and `deviation`: a mean of 1,000 beside a deviation of 0.1 is
    right.

    Args: as `keras.layers.Normalization`.
    """

    def build(self, input_shape: Any) -> None:
        if not bits.is_16_bit(self.compute_dtype):
            super().build(input_shape)
            return
        given: Any = self.input_mean, self.input_variance  # type: ignore[has-type]
        if given[0] is not None:
            # Keras' build would make tensors of them, float32 ones.
            self.input_mean, self.input_variance = 0.0, 1.0
        try:
            super().build(input_shape)
        finally:
            self.input_mean, self.input_variance = given
        if given[0] is None:
            shape = self._mean_and_var_shape
            self.mean_residual = self._statistic("mean_residual", shape, "zeros")
            self.deviation = self._statistic("deviation", shape, "ones")
        else:
            self._constants = self._on_host(*given)

    def adapt(self, data: Any) -> None:
        """Takes the statistics of data, on the host in float64.

        Args:
            data: An array, or batches of arrays, as Keras' `adapt` takes them.
        """
        if not bits.is_16_bit(self.compute_dtype):
            super().adapt(data)
            return
        moments = _Moments()
        for batch in _batches(data):
            if not self.built:
                self.build(batch.shape)
            moments.add(batch, self._reduce_axis)
        self._assign(*moments.result())

    def call(self, inputs: Any) -> Any:
        if not bits.is_16_bit(self.compute_dtype):
            return super().call(inputs)
        inputs = ops.cast(inputs, self.compute_dtype)
        mean, residual, deviation = self._statistics()
        deviation = ops.maximum(deviation, keras.config.epsilon())
        if self.invert:
            return mean + (inputs * deviation + residual)
        scale = bits.scale_to_one(deviation)
        return ((inputs - mean) - residual) * scale / (deviation * scale)

    def finalize_state(self) -> None:
        if not bits.is_16_bit(self.compute_dtype):
            super().finalize_state()

    def _statistic(self, name: str, shape: Any, initializer: str) -> Any:
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, trainable=False
        )

    def _statistics(self) -> list[Any]:
        """Mean, what it leaves out, deviation: each broadcastable to the inputs."""
        if not hasattr(self, "deviation"):
            return [ops.convert_to_tensor(value) for value in self._constants]
        kept = (self.adapt_mean, self.mean_residual, self.deviation)
        return [ops.reshape(value, self._broadcast_shape) for value in kept]

    def _on_host(self, mean: Any, variance: Any) -> list[np.ndarray]:
        shape = [size if size is not None else 1 for size in self._broadcast_shape]
        kept = [shape[axis] for axis in self._keep_axis]
        parts = _in_parts(mean, variance, self.compute_dtype)
        return [np.broadcast_to(part, kept).reshape(shape) for part in parts]

    def _assign(self, mean: Any, variance: Any) -> None:
        parts = _in_parts(mean, variance, self.compute_dtype)
        kept = (self.adapt_mean, self.mean_residual, self.deviation)
        for variable, part in zip(kept, parts, strict=True):
            variable.assign(part)
        # Not read here: it is for whoever knows Keras' layer, as far as it goes.
        largest = 65504.0 if self.compute_dtype == "float16" else None
        variance = np.clip(variance, None, largest)
        self.adapt_variance.assign(bits.host_cast(variance, self.compute_dtype))

    def values_from(self, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The weights of this layer, by name, from those of Keras' own."""
        if "deviation" in values or "variance" not in values:
            return values
        parts = _in_parts(values["mean"], values["variance"], self.compute_dtype)
        names = ("mean", "mean_residual", "deviation")
        rest = {"count": values["count"]} if "count" in values else {}
        return rest | dict(zip(names, parts, strict=True))


class _Moments:
    """Mean and variance of batches, in float64 (Chan, Golub and LeVeque, 1983)."""

    def __init__(self) -> None:
        self.count, self.mean, self.square = 0, np.zeros(()), np.zeros(())

    def add(self, batch: np.ndarray, axes: tuple[int, ...]) -> None:
        count = int(np.prod([batch.shape[axis] for axis in axes]))
        mean, variance = batch.mean(axis=axes), batch.var(axis=axes)
        total = self.count + count
        gap = mean - self.mean
        self.square = self.square + variance * count
        self.square = self.square + gap**2 * (self.count * count / total)
        self.mean, self.count = self.mean + gap * (count / total), total

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        return self.mean, self.square / self.count


def _in_parts(mean: Any, variance: Any, dtype: str) -> list[np.ndarray]:
    """The mean, what rounding leaves of it, and the root of the variance."""
    exact = np.asarray(mean, "float64")
    rounded = bits.host_cast(exact, dtype)
    residual = exact - rounded.astype("float64")
    deviation = np.sqrt(np.asarray(variance, "float64"))
    return [rounded, *(bits.host_cast(part, dtype) for part in (residual, deviation))]


def _batches(data: Any) -> Any:
    """Float64 arrays of an array or of anything that yields batches."""
    if hasattr(data, "shape"):
        yield np.asarray(data, "float64")
        return
    for batch in data:
        first = batch[0] if isinstance(batch, (tuple, list)) else batch
        yield np.asarray(first, "float64")
