"""What layers do otherwise where XLA compiles the training step.

Most of it is to tell XLA, on a CPU, to compute a tensor once (`numerics.once`).
Elsewhere there is no need: oneDNN's kernels are handed tensors that exist, and on a
GPU XLA weighs what it repeats.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras16 import backend
from keras16.numerics import bits, broadcasting, once

# What `_without_bias` takes away: the layers look at `use_bias`, or at `bias`.
NOT_YET = ("use_bias", "bias", "activation")


def is_compiled(layer: keras.layers.Layer) -> bool:
    """Whether a layer is of a pure 16-bit net and XLA compiles what is traced now."""
    return bits.is_16_bit(layer.variable_dtype) and backend.module().is_compiling()


def is_repeated(layer: keras.layers.Layer) -> bool:
    """Whether XLA may compute a tensor of it anew for everything that uses it."""
    return is_compiled(layer) and not backend.module().has_gpu()


def value(layer: keras.layers.Layer, x: Any) -> Any:
    """The same tensor, computed once; of integers nothing is."""
    return once.value(x) if is_repeated(layer) and bits.is_16_bit(x.dtype) else x


def gradient(layer: keras.layers.Layer, x: Any) -> Any:
    """The same tensor, its gradient computed once."""
    return once.gradient(x) if is_repeated(layer) and bits.is_16_bit(x.dtype) else x


def both(layer: keras.layers.Layer, x: Any) -> Any:
    """The same tensor, it and its gradient computed once."""
    return gradient(layer, value(layer, x))


def missing(layer: Any, shape: tuple[Any, ...]) -> tuple[int, int]:
    """Rows and columns of zeros that let XLA use its fast convolution on a CPU.

    Where the window has more places than the image, XLA takes the image for the
    window: mathematically the same, but for that it has a plain loop alone. A step
    of vgg16, whose last images are 2 x 2, took 12 s instead of 2. A single pixel is
    let be: the loop is short.

    Args:
        layer: A convolution of images.
        shape: [batch, height, width, channels] of its inputs.

    Returns:
        0 and 0 where nothing is to be gained, or zeros would change the result.
    """
    plain = layer.padding == "same" and tuple(layer.strides) == (1, 1)
    last = layer.data_format == "channels_last"
    if not (plain and last and is_repeated(layer)) or None in shape[1:3]:
        return 0, 0
    window = layer.kernel_size
    if not 1 < shape[1] * shape[2] < window[0] * window[1]:
        return 0, 0
    return max(window[0] - shape[1], 0), max(window[1] - shape[2], 0)


class ComputedOnce:
    """A mixin before a convolution or a product: what goes in, and comes back.

    Both its value and its gradient are used by a product, another product for the
    gradient of the weights, and what lies before and behind.
    """

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        inputs = value(self, inputs)
        if not adds_bias_apart(self):
            outputs = super().call(inputs, *args, **kwargs)  # type: ignore[misc]
            return gradient(self, outputs)
        with _without_bias(self):
            outputs = super().call(inputs, *args, **kwargs)  # type: ignore[misc]
        outputs = broadcasting.add(outputs, _bias_for(self, outputs))
        activation = self.activation  # type: ignore[attr-defined]
        return gradient(self, outputs if activation is None else activation(outputs))


def adds_bias_apart(layer: Any) -> bool:
    """Whether the gradient of a layer's bias, as Keras has it, is summed in 16 bits.

    On JAX it is: 20,000 addends about 0.5 came to 0.7 of their sum in a convolution.
    """
    if layer.bias is None or not bits.is_16_bit(layer.compute_dtype):
        return False
    return backend.module().sums_biases_in_16_bits()


@contextlib.contextmanager
def _without_bias(layer: Any) -> Iterator[None]:
    """Has Keras' `call` neither add a layer's bias nor apply its activation."""
    held = vars(layer)  # past Keras' __setattr__, which keeps track of variables
    before = {name: held[name] for name in NOT_YET if name in held}
    held.update({name: None for name in before})
    try:
        yield
    finally:
        held.update(before)


def _bias_for(layer: Any, outputs: Any) -> Any:
    """The bias in a shape that goes with the outputs."""
    bias = ops.convert_to_tensor(layer.bias)
    if getattr(layer, "data_format", "channels_last") == "channels_last":
        return bias
    return ops.reshape(bias, (-1, *[1] * (len(outputs.shape) - 2)))
