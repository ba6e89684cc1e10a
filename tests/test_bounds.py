"""Bounds on rounding: never below the true error, and small enough to be of use."""

import keras
import numpy as np
import pytest
from keras import layers

from keras16 import bounds
from keras16 import layers as own
from keras16.numerics import averages

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="JAX has no float64 by default"
)


def dense(depth, activation):
    def build(dtype):
        kept = {"dtype": dtype, "activation": activation}
        hidden = [own.Dense(12, **kept) for _ in range(depth - 1)]
        return keras.Sequential(
            [keras.Input((8,), dtype=dtype), *hidden, own.Dense(4, dtype=dtype)]
        )

    return build


def residual(dtype):
    """Sixteen layers deep: normalization, branches and all."""
    inputs = x = keras.Input((8,), dtype=dtype)
    for _ in range(4):
        y = own.BatchNormalization(dtype=dtype)(x)
        y = own.Dense(8, activation="silu", dtype=dtype)(y)
        y = own.LayerNormalization(dtype=dtype)(y)
        x = layers.Add(dtype=dtype)([x, own.Dense(8, dtype=dtype)(y)])
    x = layers.Concatenate(dtype=dtype)([x, inputs])
    return keras.Model(inputs, own.Dense(4, dtype=dtype)(x))


def convolutional(dtype):
    kept = {"dtype": dtype}
    return keras.Sequential(
        [
            keras.Input((6, 6, 2), dtype=dtype),
            own.Conv2D(6, 3, padding="same", use_bias=False, **kept),
            own.BatchNormalization(**kept),
            layers.ReLU(**kept),
            own.MaxPooling2D(2, **kept),
            layers.ZeroPadding2D(1, **kept),
            own.DepthwiseConv2D(3, depth_multiplier=2, activation="relu6", **kept),
            layers.AveragePooling2D(2, strides=1, padding="same", **kept),
            own.Conv2D(4, 2, strides=2, activation="softplus", **kept),
            own.GlobalAveragePooling2D(**kept),
            own.Dense(4, **kept),
        ]
    )


NETS = {
    "one layer": (dense(1, None), (8,)),
    "relu": (dense(3, "relu"), (8,)),
    "twelve of leaky_relu": (dense(12, "leaky_relu"), (8,)),
    "tanh": (dense(6, "tanh"), (8,)),
    "gelu": (dense(8, "gelu"), (8,)),
    "residual": (residual, (8,)),
    "convolutional": (convolutional, (6, 6, 2)),
}


def twins(build):
    """The same net in float16 and in float64."""
    return build("float16"), build("float64")


def draw_weights(net, draws, kind):
    """Random weights: of about 1, subnormal, large, or such that they cancel."""
    for layer in net.layers:
        for weight in layer.weights:
            if "int" in weight.dtype:
                continue
            shape = tuple(weight.shape)
            values = draws.normal(size=shape) / np.sqrt(max(shape[-2:][0], 1))
            if weight.name in ("gamma", "moving_deviation"):
                values = np.exp(0.3 * draws.normal(size=shape))
            elif weight.name == "kernel" and kind == "cancelling":
                values = np.round(values, 1) + draws.choice([-8, 8], shape)
            elif weight.name == "kernel":
                values *= {"subnormal": 2.0**-7, "large": 3.0}.get(kind, 1.5)
            weight.assign(values.astype("float16"))


def copy_weights(narrow, wide):
    """Float64 weights that are those of the float16 net to the bit."""
    for one, other in zip(narrow.layers, wide.layers, strict=True):
        kept = {w.name: np.asarray(w) for w in one.weights}
        if "moving_mean_fraction" in kept:
            mean = averages.joined(kept["moving_mean"], kept["moving_mean_fraction"])
            square = kept["moving_deviation"].astype("float64") ** 2
            kept |= {"moving_mean": mean, "moving_variance": square}
        for weight in other.weights:
            weight.assign(kept[weight.name].astype("float64"))


INPUTS = {"usual": 1.0, "subnormal": 1e-6, "large": 300.0, "cancelling": 1.0}


@pytest.mark.parametrize("name", NETS)
def test_the_true_error_never_exceeds_the_bound(name):
    """16,384 pairs of a net and an input each, 114,688 in all; five nets are deep."""
    build, shape = NETS[name]
    narrow, wide = twins(build)
    draws = np.random.default_rng(len(name))
    finite = proven = 0
    for kind, magnitude in INPUTS.items():
        for _ in range(2):
            draw_weights(narrow, draws, kind)
            copy_weights(narrow, wide)
            x = draws.normal(size=(2048, *shape)) * magnitude
            x = x.astype("float16")
            found = bounds.error_bound(narrow, x, batch_size=2048)
            np.testing.assert_array_equal(found.outputs, np.asarray(narrow(x)))
            exact = np.asarray(wide(x.astype("float64")))
            finite += check(found, exact)
            proven += found.proven.sum()
    assert finite > 0.4 * len(INPUTS) * 2 * 2048, finite
    assert proven > 0


def check(found, exact):
    """Compares bounds with the true errors; gives how many examples had any."""
    known = np.isfinite(found.bound).all(axis=1)
    assert not found.proven[~known].any()
    outputs, bound, margin_bound = (one[known] for one in found)
    exact = exact[known]
    noise = 1e-12 * np.abs(exact).max(initial=0)  # of float64 itself
    assert np.all(np.abs(outputs - exact) <= bound + noise)
    top = np.argmax(outputs, axis=1)[:, None]
    leads = [np.take_along_axis(one, top, 1) - one for one in (outputs, exact)]
    assert np.all(np.abs(leads[0] - leads[1]) <= margin_bound + 2 * noise)
    same = np.argmax(exact, axis=1) == top[:, 0]
    assert np.all(same[found.proven[known]])
    return known.sum()
