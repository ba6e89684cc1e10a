"""What one layer's step costs: value and gradients, in 16 bits and in float32.

`python -m tests.kernel_times` prints the tables of docs/performance.md, with "float16"
behind it the first one in that format, where its steps are plain graphs. What is
counted is the processor's time and not the clock's: it is the same beside others.
"""

from __future__ import annotations

import statistics
import sys
import time
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from keras16 import backend, layers

IMAGE = (32, 32, 32, 96)
ROUNDS = 7
TIMES = 3  # in a round
# Layers of the catalogue's nets: class, settings, shape of the inputs.
CASES = {
    "depthwise 3x3": ("DepthwiseConv2D", {"kernel_size": 3, "padding": "same"}, IMAGE),
    "depthwise 3x3, strides 2": (
        "DepthwiseConv2D",
        {"kernel_size": 3, "strides": 2, "padding": "same"},
        IMAGE,
    ),
    "separable 3x3": (
        "SeparableConv2D",
        {"filters": 96, "kernel_size": 3, "padding": "same"},
        IMAGE,
    ),
    "means of 2x2": ("AveragePooling2D", {"pool_size": 2}, IMAGE),
    "means of 3x3, strides 2": (
        "AveragePooling2D",
        {"pool_size": 3, "strides": 2, "padding": "same"},
        IMAGE,
    ),
    "convolution 3x3": (
        "Conv2D",
        {"filters": 32, "kernel_size": 3, "padding": "same"},
        (32, 32, 32, 32),
    ),
    "maxima of 2x2": ("MaxPooling2D", {}, IMAGE),
    "batch normalization": ("BatchNormalization", {}, IMAGE),
    "layer normalization": ("LayerNormalization", {}, (128, 64, 64)),
    "attention": ("MultiHeadAttention", {"num_heads": 4, "key_dim": 64}, (64, 64, 64)),
    "dense": ("Dense", {"units": 512}, (512, 512)),
    "gelu": ("Activation", {"activation": "gelu"}, (128, 64, 128)),
    "relu": ("ReLU", {}, IMAGE),
    "relu6": ("ReLU", {"max_value": 6.0}, IMAGE),
    "maxima of 3x3, strides 2": ("MaxPooling2D", {"pool_size": 3, "strides": 2}, IMAGE),
    "mean of an image": ("GlobalAveragePooling2D", {}, IMAGE),
    "einsum": (
        "EinsumDense",
        {"equation": "bpi,id->bpd", "output_shape": (64, 64), "bias_axes": "pd"},
        (64, 64, 512),
    ),
    "softmax": ("Softmax", {}, (64, 4, 64, 64)),
    "dropout": ("Dropout", {"rate": 0.1}, IMAGE),
    "sum of two": ("Add", {}, IMAGE),
    "side by side": ("Concatenate", {}, IMAGE),
    "zeros around": ("ZeroPadding2D", {}, IMAGE),
}
# Those that compute nothing: they move numbers, or name them anew.
MOVING = {"Flatten", "Reshape", "Permute", "Cropping2D", "InputLayer"}


def step_of(layer, shape, dtype, compiled):
    """A call that runs the layer forward and back once."""
    random = np.random.default_rng(0)
    x = tf.cast(tf.constant(random.normal(size=shape), "float32"), dtype)
    value = called(layer, x)
    upstream = tf.cast(tf.constant(random.normal(size=value.shape), "float32"), dtype)
    weights = [weight.value for weight in layer.trainable_variables]

    @tf.function(jit_compile=compiled, autograph=False)
    def step(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = called(layer, x)
        return [value, *tape.gradient(value, [x, *weights], upstream)]

    return lambda: step(x, upstream)


def called(layer, x):
    """The layer's value in training; of one that takes two tensors, of x twice."""
    if isinstance(layer, keras.layers.MultiHeadAttention):
        return layer(x, x, training=True)
    if isinstance(layer, keras.layers.Add | keras.layers.Concatenate):
        return layer([x, x])
    return layer(x, **({"training": True} if layer._call_has_training_arg else {}))


def built(name, dtype, compiled, own=True):
    """The step of a case: our layer, or Keras' own."""
    cls, settings, shape = CASES[name]
    # What has no twin in 16 bits is Keras' own.
    home = layers if own and hasattr(layers, cls) else keras.layers
    layer = getattr(home, cls)(**settings, dtype=dtype)
    with mock.patch.object(backend.module(), "compiles", lambda *_: compiled):
        step = step_of(layer, shape, dtype, compiled)
        step()
    return step


def medians(steps, rounds=ROUNDS):
    """Milliseconds of the processor for each step: the medians of rounds in turn.

    The first run of a round is not counted: threads of the other step still wait then,
    at the processor's expense.
    """
    found = [[] for _ in steps]
    for _ in range(rounds):
        for step, times in zip(steps, found, strict=True):
            step()
            begin = time.process_time()
            for _ in range(TIMES):
                step()
            times.append(1e3 * (time.process_time() - begin) / TIMES)
    return [statistics.median(times) for times in found]


def beside_float32(name, dtype):
    """(milliseconds in 16 bits, in float32) as plain graphs."""
    return medians([built(name, dtype, False), built(name, "float32", False, False)])


def beside_stock(name, dtype):
    """(milliseconds of our layer, of Keras' own), both compiled by XLA."""
    return medians([built(name, dtype, True), built(name, dtype, True, False)], 3)


def main():
    """Prints both tables, the first for the format that is asked for."""
    plain = sys.argv[1] if len(sys.argv) > 1 else "bfloat16"
    for title, measure, dtype in (
        (f"{plain}, float32: plain graphs", beside_float32, plain),
        ("ours, Keras': float16, compiled", beside_stock, "float16"),
    ):
        print(title)
        for name in CASES if measure is beside_float32 else list(CASES)[:5]:
            own, other = measure(name, dtype)
            print(f"{name:26s} {own:8.1f} ms {other:8.1f} ms {own / other:6.2f}")


if __name__ == "__main__":
    main()
