"""Convolutions, products and maxima by keras16's own kernels, where there are some.

They are for CPUs that would have to do without fast float16 kernels else (see
`keras16.kernels`). Where they don't apply the layers are Keras'.
"""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from keras16 import backend
from keras16.numerics import products


class Convolved:
    """A mixin before Keras' convolutions of rows, images and volumes."""

    def call(self, inputs: Any) -> Any:
        own = _own(inputs, self.kernel)  # type: ignore[attr-defined]
        if own is None:
            return super().call(inputs)  # type: ignore[misc]
        x, padding = _last(self, inputs), self.padding  # type: ignore[attr-defined]
        if padding == "causal":
            reach = self.dilation_rate[0] * (self.kernel_size[0] - 1)  # type: ignore[attr-defined]
            x, padding = ops.pad(x, ((0, 0), (reach, 0), (0, 0))), "valid"
        parts = ops.split(x, self.groups, axis=-1)  # type: ignore[attr-defined]
        kernels = ops.split(self.kernel, self.groups, axis=-1)  # type: ignore[attr-defined]
        outputs = [
            _of_images(self, own, part, kernel, padding)
            for part, kernel in zip(parts, kernels, strict=True)
        ]
        return _finished(self, ops.concatenate(outputs, axis=-1))


class Transposed:
    """A mixin before Keras' transposed convolutions of rows and images."""

    def call(self, inputs: Any) -> Any:
        own = _own(inputs, self.kernel)  # type: ignore[attr-defined]
        x = _last(self, inputs)
        if own is None or None in x.shape[1:]:
            return super().call(inputs)  # type: ignore[misc]
        shape = self.compute_output_shape(inputs.shape)  # type: ignore[attr-defined]
        out = shape[1:-1] if self.data_format == "channels_last" else shape[2:]  # type: ignore[attr-defined]
        axes = zip(
            out,
            self.kernel_size,  # type: ignore[attr-defined]
            self.strides,  # type: ignore[attr-defined]
            self.dilation_rate,  # type: ignore[attr-defined]
            strict=True,
        )
        before = tuple(own.placed(*axis, self.padding)[1] for axis in axes)  # type: ignore[attr-defined]
        outputs = own.transposed(
            _as_images(x),
            _as_images(ops.convert_to_tensor(self.kernel), 0),  # type: ignore[attr-defined]
            out=_both(out, 1),
            before=_both(before, 0),
            strides=_both(self.strides, 1),  # type: ignore[attr-defined]
            dilation=_both(self.dilation_rate, 1),  # type: ignore[attr-defined]
        )
        return _finished(self, _as_rows(outputs, len(x.shape)))


class Multiplied:
    """A mixin before Keras' dense layer."""

    def call(self, inputs: Any, training: Any = None) -> Any:
        kernel = ops.convert_to_tensor(self.kernel)  # type: ignore[attr-defined]
        own = _own(inputs, kernel)
        if own is None:
            return super().call(inputs, training=training)  # type: ignore[misc]
        return _finished(self, own.product(inputs, kernel))


def convolution(x: Any, kernel: Any, padding: str) -> Any:
    """Images, channels last, convolved with strides of 1."""
    own = _own(x, kernel)
    if own is None:
        return ops.conv(x, kernel, padding=padding, data_format="channels_last")
    return own.convolution(x, kernel, padding=padding)


def max_pool(
    x: Any, pool_size: Any, strides: Any, padding: str, data_format: str
) -> Any:
    """`keras.ops.max_pool`, which TensorFlow has a slow gradient for in float16."""
    own = backend.module().own_kernels(x)
    if own is None or math.prod(pool_size) > own.MOST_PLACES:
        return ops.max_pool(x, pool_size, strides, padding, data_format)
    first = data_format == "channels_first"
    images = _as_images(ops.moveaxis(x, 1, -1) if first else x)
    outputs = own.maxima(images, _both(pool_size, 1), _both(strides, 1), padding)
    outputs = _as_rows(outputs, len(x.shape))
    return ops.moveaxis(outputs, -1, 1) if first else outputs


def by_pixel(places: Any, kernel: Any) -> Any:
    """A convolution with a window of one place, [..., channels] x [1.., in, out]."""
    kernel = ops.convert_to_tensor(kernel)
    if _own(places, kernel) is None:
        return ops.conv(places, kernel, padding="valid", data_format="channels_last")
    return products.matmul(places, ops.reshape(kernel, kernel.shape[-2:]))


def _own(x: Any, kernel: Any) -> Any:
    """The file of the backend's that has the kernels; None where Keras' are taken."""
    return backend.module().own_kernels(x, ops.convert_to_tensor(kernel))


def _of_images(layer: Any, own: Any, x: Any, kernel: Any, padding: str) -> Any:
    """A convolution of rows or volumes as one of images."""
    if len(x.shape) == 5:
        return _of_volumes(layer, own, x, kernel, padding)
    outputs = own.convolution(
        _as_images(x),
        _as_images(kernel, 0),
        strides=_both(layer.strides, 1),
        dilation=_both(layer.dilation_rate, 1),
        padding=padding,
    )
    return _as_rows(outputs, len(x.shape))


def _of_volumes(layer: Any, own: Any, x: Any, kernel: Any, padding: str) -> Any:
    """Images whose channels are those of all slices that a window sees."""
    deep, stride, dilation = kernel.shape[0], layer.strides[0], layer.dilation_rate[0]
    length = ops.shape(x)[1]
    count, before = own.placed(length, deep, stride, dilation, padding)
    reach = (count - 1) * stride + (deep - 1) * dilation + 1
    behind = ops.maximum(reach - before - length, 0)
    x = ops.pad(x, ((0, 0), (before, behind), (0, 0), (0, 0), (0, 0)))
    seen = ops.concatenate(
        [
            x[:, at * dilation : at * dilation + (count - 1) * stride + 1 : stride]
            for at in range(deep)
        ],
        axis=-1,
    )
    rows, columns, channels = kernel.shape[1], kernel.shape[2], kernel.shape[3]
    flat = ops.reshape(
        ops.transpose(kernel, (1, 2, 0, 3, 4)), (rows, columns, deep * channels, -1)
    )
    shape = ops.shape(seen)
    outputs = own.convolution(
        ops.reshape(seen, (-1, *shape[2:])),
        flat,
        strides=layer.strides[1:],
        dilation=layer.dilation_rate[1:],
        padding=padding,
    )
    return ops.reshape(outputs, (-1, shape[1], *ops.shape(outputs)[1:]))


def _last(layer: Any, x: Any) -> Any:
    """The same with its channels last."""
    if layer.data_format == "channels_last":
        return x
    return ops.moveaxis(x, 1, -1)


def _finished(layer: Any, outputs: Any) -> Any:
    """With the layer's bias, in its data format, with its activation."""
    if layer.bias is not None:
        outputs = ops.add(outputs, layer.bias)
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        outputs = ops.moveaxis(outputs, -1, 1)
    return outputs if layer.activation is None else layer.activation(outputs)


def _as_images(x: Any, axis: int = 1) -> Any:
    """Rows as images of one row; a kernel's as its only one."""
    return ops.expand_dims(x, axis) if len(x.shape) == 3 else x


def _as_rows(images: Any, rank: int) -> Any:
    return ops.squeeze(images, 1) if rank == 3 else images


def _both(numbers: Any, of_rows: int) -> tuple[Any, ...]:
    """Rows and columns; a row alone has these."""
    numbers = tuple(numbers)
    return (of_rows, *numbers) if len(numbers) == 1 else numbers
