"""Depthwise convolutions of layers, where ours is right and faster than Keras'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from keras16 import backend
from keras16.layers import _compiled, own_kernels
from keras16.numerics import bits, depthwise


def window_of(
    layer: Any, x: Any, size: Any, dilation: Any = (1, 1)
) -> depthwise.Window | None:
    """Where the windows of a layer lie; None where they are left to Keras.

    That is in wider floats, on a GPU, with channels first, where the size of the images
    is only known when the graph runs, and in mixed precision without our kernels.

    Args:
        layer: A convolution or pooling of rows or of images.
        x: [batch, *places, channels].
        size: Places of a window, along each axis.
        dilation: From one place of a window to the next, likewise.
    """
    if not bits.is_16_bit(x.dtype) or layer.data_format != "channels_last":
        return None
    if None in x.shape[1:] or backend.module().has_gpu():
        return None
    if not bits.is_16_bit(layer.variable_dtype) and not backend.module().own_kernels(x):
        return None  # mixed precision is Keras', but where we have kernels for it
    window = depthwise.Window(
        size=_both(size),
        strides=_both(layer.strides),
        dilation=_both(dilation),
        given=_both(x.shape[1:-1]),
        padding=layer.padding,
    )
    return window if window.is_known else None


def convolved(layer: Any, x: Any, kernel: Any, window: depthwise.Window) -> Any:
    """[batch, *places, channels] convolved channel by channel, as the layer says."""
    kernel = ops.convert_to_tensor(kernel)
    if len(x.shape) == 3:
        kernel = ops.expand_dims(kernel, 0)
    compiled = _compiled.is_repeated(layer)
    return on_images(lambda x: depthwise.convolved(x, kernel, window, compiled), x)


def on_images(function: Callable[[Any], Any], x: Any) -> Any:
    """A function of images, of rows as images of one row."""
    if len(x.shape) != 3:
        return function(x)
    return ops.squeeze(function(ops.expand_dims(x, 1)), 1)


def finished(layer: Any, outputs: Any) -> Any:
    """The layer's bias and activation, as Keras has them."""
    if layer.use_bias:
        shape = (*(1,) * (len(outputs.shape) - 1), outputs.shape[-1])
        outputs = ops.add(outputs, ops.reshape(layer.bias, shape))
    return outputs if layer.activation is None else layer.activation(outputs)


def _both(sizes: Any) -> tuple[int, int]:
    """Rows and columns; of a row there is one."""
    sizes = tuple(sizes)
    return (1, *sizes) if len(sizes) == 1 else sizes


class Depthwise:
    """A mixin before Keras' depthwise layers."""

    def call(self, inputs: Any) -> Any:
        kernel = self.kernel  # type: ignore[attr-defined]
        window = window_of(self, inputs, kernel.shape[:-2], self.dilation_rate)  # type: ignore[attr-defined]
        if window is None:
            return super().call(inputs)  # type: ignore[misc]
        return finished(self, convolved(self, inputs, kernel, window))


class Separable:
    """A mixin before Keras' separable layers: depthwise, then a pixel at a time."""

    def call(self, inputs: Any) -> Any:
        kernel = self.depthwise_kernel  # type: ignore[attr-defined]
        window = window_of(self, inputs, kernel.shape[:-2], self.dilation_rate)  # type: ignore[attr-defined]
        if window is None:
            return super().call(inputs)  # type: ignore[misc]
        places = convolved(self, inputs, kernel, window)
        outputs = own_kernels.by_pixel(
            _compiled.both(self, places),
            self.pointwise_kernel,  # type: ignore[attr-defined]
        )
        return finished(self, outputs)
