"""Pooling that TensorFlow has no 16-bit kernel for, or does in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras16 import backend
from keras16.errors import UserError
from keras16.layers import _compiled, _depthwise, own_kernels
from keras16.numerics import average_pooling, bits, pooling, reductions

Pool = Callable[..., Any]


class _InTwoSteps:
    """Pools the first axis of a volume and then the other two.

    TensorFlow has no 16-bit kernel for volumes on the CPU. Maxima and means of boxes
    are those of their slices, padding "same" included, since its counts are products.
    """

    def _pooled(self, pool: Pool, x: Any) -> Any:
        first = self.data_format == "channels_first"  # type: ignore[attr-defined]
        if first:
            x = ops.transpose(x, (0, 2, 3, 4, 1))
        x = self._pooled_places(pool, self._pooled_depth(pool, x))
        return ops.transpose(x, (0, 4, 1, 2, 3)) if first else x

    def _pooled_depth(self, pool: Pool, x: Any) -> Any:
        batch, depth, rows, columns, channels = ops.shape(x)
        flat = ops.reshape(x, (batch, depth, rows * columns, channels))
        flat = self._in_plane(pool, flat, lambda sizes: (sizes[0], 1))
        return ops.reshape(flat, (batch, -1, rows, columns, channels))

    def _pooled_places(self, pool: Pool, x: Any) -> Any:
        batch, depth, rows, columns, channels = ops.shape(x)
        flat = ops.reshape(x, (-1, rows, columns, channels))
        flat = self._in_plane(pool, flat, lambda sizes: tuple(sizes[1:]))
        return ops.reshape(flat, (-1, depth, *ops.shape(flat)[1:]))

    def _in_plane(self, pool: Pool, x: Any, part: Callable[[Any], Any]) -> Any:
        return pool(
            x,
            part(self.pool_size),  # type: ignore[attr-defined]
            strides=part(self.strides),  # type: ignore[attr-defined]
            padding=self.padding,  # type: ignore[attr-defined]
            data_format="channels_last",
        )


class _Maximal:
    """Maxima of windows by a kernel of ours, where there is one."""

    def call(self, inputs: Any) -> Any:
        return own_kernels.max_pool(
            inputs,
            self.pool_size,  # type: ignore[attr-defined]
            self.strides,  # type: ignore[attr-defined]
            self.padding,  # type: ignore[attr-defined]
            self.data_format,  # type: ignore[attr-defined]
        )


@keras.saving.register_keras_serializable(package="keras16")
class MaxPooling1D(_Maximal, keras.layers.MaxPooling1D):
    """Keras' layer with a kernel of its own in float16, which is faster."""


@keras.saving.register_keras_serializable(package="keras16")
class MaxPooling2D(_Maximal, keras.layers.MaxPooling2D):
    """Keras' layer with a kernel or a gradient of its own where it pays.

    Without the kernel, windows side by side have the gradient (`numerics.pooling`);
    those that overlap are left to Keras.
    """

    def call(self, inputs: Any) -> Any:
        if not (self._is_slow_elsewhere(inputs) and self._side_by_side(inputs.shape)):
            return super().call(inputs)
        x = _compiled.value(self, inputs)
        rows, columns = (
            length // size * size
            for length, size in zip(x.shape[1:3], self.pool_size, strict=True)
        )
        if (rows, columns) != tuple(x.shape[1:3]):
            # Or each number padded would be looked up through two sets of axes.
            x = _compiled.gradient(self, x[:, :rows, :columns])
        return pooling.max_pool(x, self.pool_size)

    def _is_slow_elsewhere(self, x: Any) -> bool:
        """XLA's gradient is, and that of TensorFlow's own kernels in float16."""
        if backend.module().own_kernels(x) is not None:
            return False
        return self.variable_dtype == "float16" or _compiled.is_compiled(self)

    def _side_by_side(self, shape: Any) -> bool:
        """Whether windows neither overlap nor reach beyond the edge."""
        if self.data_format != "channels_last" or None in shape[1:]:
            return False
        lengths = list(zip(shape[1:3], self.pool_size, strict=True))
        whole = all(length % size == 0 for length, size in lengths)
        fits = all(length >= size for length, size in lengths)
        return (
            tuple(self.strides) == tuple(self.pool_size)
            and fits
            and (whole or self.padding == "valid")
        )


@keras.saving.register_keras_serializable(package="keras16")
class MaxPooling3D(_InTwoSteps, keras.layers.MaxPooling3D):
    """Keras' layer, axis by axis in 16 bits."""

    def call(self, inputs: Any) -> Any:
        if not bits.is_16_bit(inputs.dtype):
            return super().call(inputs)
        return self._pooled(own_kernels.max_pool, inputs)


@keras.saving.register_keras_serializable(package="keras16")
class AveragePooling3D(_InTwoSteps, keras.layers.AveragePooling3D):
    """Keras' layer, axis by axis in 16 bits."""

    def call(self, inputs: Any) -> Any:
        if not bits.is_16_bit(inputs.dtype):
            return super().call(inputs)
        return self._pooled(ops.average_pool, inputs)


class _Averaging:
    """Means of windows whose gradient is ours where Keras' is slow.

    That is wherever XLA compiles on a CPU, and in float16 without it; oneDNN's kernel
    for bfloat16 is fast.
    """

    def call(self, inputs: Any) -> Any:
        window = _depthwise.window_of(self, inputs, self.pool_size)  # type: ignore[attr-defined]
        repeated = _compiled.is_repeated(self)
        keras_is_fast = bits.name_of(inputs) == "bfloat16" and not repeated
        if window is None or keras_is_fast:
            return super().call(inputs)  # type: ignore[misc]

        def means(x: Any) -> Any:
            x = _compiled.both(self, x)
            outputs = average_pooling.average_pool(x, window, repeated)
            return _compiled.gradient(self, outputs)

        return _depthwise.on_images(means, inputs)


@keras.saving.register_keras_serializable(package="keras16")
class AveragePooling1D(_Averaging, keras.layers.AveragePooling1D):
    """Keras' layer with a gradient of its own in 16 bits, which is faster."""


@keras.saving.register_keras_serializable(package="keras16")
class AveragePooling2D(_Averaging, keras.layers.AveragePooling2D):
    """Keras' layer with a gradient of its own in 16 bits, which is faster."""


class _Adaptive:
    """Pools one axis after the other; where the windows lie is known beforehand."""

    def call(self, inputs: Any) -> Any:
        if not bits.is_16_bit(inputs.dtype):
            return super().call(inputs)  # type: ignore[misc]
        start = 1 if self.data_format == "channels_last" else 2  # type: ignore[attr-defined]
        sizes = self.output_size  # type: ignore[attr-defined]
        sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
        for axis, size in enumerate(sizes, start):
            if inputs.shape[axis] is None:
                raise UserError(
                    f"{type(self).__name__} in 16 bits wants inputs of known size: "
                    f"axis {axis} has none."
                )
            inputs = self._along(inputs, axis, _windows(inputs.shape[axis], size))
        return inputs

    def _along(self, x: Any, axis: int, windows: Any) -> Any:
        """Pools the windows, [(first, behind the last)], of one axis."""
        raise NotImplementedError


class _Averages(_Adaptive):
    def _along(self, x: Any, axis: int, windows: Any) -> Any:
        parts = []
        for first, behind in windows:
            window = _slice(x, axis, first, behind)
            parts.append(reductions.mean(window, axis, keepdims=True))
        return ops.concatenate(parts, axis=axis)


class _Maxima(_Adaptive):
    def _along(self, x: Any, axis: int, windows: Any) -> Any:
        parts = []
        for first, behind in windows:
            window = _slice(x, axis, first, behind)
            parts.append(ops.max(window, axis=axis, keepdims=True))
        return ops.concatenate(parts, axis=axis)


def _slice(x: Any, axis: int, first: int, behind: int) -> Any:
    return x[(slice(None),) * axis + (slice(first, behind),)]


def _windows(length: int, count: int) -> list[tuple[int, int]]:
    """The first place of each window and the one behind its last."""
    return [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]


@keras.saving.register_keras_serializable(package="keras16")
class AdaptiveAveragePooling1D(_Averages, keras.layers.AdaptiveAveragePooling1D):
    """Keras' layer, whose windows' places are computed in float32."""


@keras.saving.register_keras_serializable(package="keras16")
class AdaptiveAveragePooling2D(_Averages, keras.layers.AdaptiveAveragePooling2D):
    """Keras' layer, whose windows' places are computed in float32."""


@keras.saving.register_keras_serializable(package="keras16")
class AdaptiveAveragePooling3D(_Averages, keras.layers.AdaptiveAveragePooling3D):
    """Keras' layer, whose windows' places are computed in float32."""


@keras.saving.register_keras_serializable(package="keras16")
class AdaptiveMaxPooling1D(_Maxima, keras.layers.AdaptiveMaxPooling1D):
    """Keras' layer, whose windows' places are computed in float32."""


@keras.saving.register_keras_serializable(package="keras16")
class AdaptiveMaxPooling2D(_Maxima, keras.layers.AdaptiveMaxPooling2D):
    """Keras' layer, whose windows' places are computed in float32."""


@keras.saving.register_keras_serializable(package="keras16")
class AdaptiveMaxPooling3D(_Maxima, keras.layers.AdaptiveMaxPooling3D):
    """Keras' layer, whose windows' places are computed in float32."""
