"""Gradients differentiated again: right, or refused in words."""

from __future__ import annotations

import keras
import layer_twins
import numpy as np
import pytest
from layer_cases import CASES, case

from keras16 import layers, losses, regularizers
from keras16.errors import UserError
from keras16.layers import _activations
from tests.traced import (
    HAS_KERNELS,
    both,
    computed_in,
    constant,
    of_tensorflow,
    run,
    value_and_gradients,
)

REFUSED = {
    "BatchNormalization": "batch normalization",
    "LayerNormalization": "normalization",
    "GroupNormalization": "normalization",
    "RMSNormalization": "normalization",
    "UnitNormalization": "normalization",
    "Dot": "normalization",
    "Embedding": "a look-up in a table",
}
# The kernels of these have gradients that have gradients.
RIGHT_BY_KERNELS = {
    "DepthwiseConv2D": "a depthwise convolution",
    "Softmax": "softmax",
    "Attention": "softmax",
}
RIGHT = {
    "Dense": case((5,), units=3, activation="tanh"),
    "Conv2D": CASES["Conv2D"],
    "AveragePooling2D": CASES["AveragePooling2D"],
    "MaxPooling2D": case((8, 8, 4)),
    "GlobalAveragePooling2D": CASES["GlobalAveragePooling2D"],
    "PReLU": CASES["PReLU"],
    "ELU": CASES["ELU"],
    "ReLU": CASES["ReLU"],
    "GRUCell": CASES["GRUCell"],
}
LOSSES = {
    "MeanSquaredError": {},
    "BinaryCrossentropy": {"from_logits": True},
    "CategoricalCrossentropy": {"from_logits": True},
    "SparseCategoricalCrossentropy": {"from_logits": True},
    "Huber": {},
    "KLDivergence": {},
}


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float16")


def second(function, tensors, weights=(), *, upstream=None, along, compiled=False):
    """The derivatives of along x the gradient of function(first tensor, ...)**2."""

    def squared(*given):
        value = function(*given)
        return value * value

    def first(*given):
        gradients = value_and_gradients(squared, weights)(upstream, *given)
        return keras.ops.sum(gradients[1] * along)

    return run(first, *tensors, weights=weights, compiled=compiled)


def of_layer(layer, use, arrays, upstream, along, compiled):
    dtype = keras.backend.standardize_dtype(layer.compute_dtype)
    return second(
        lambda *given: layer_twins.call(layer, use, given, True),
        [a.astype(dtype) for a in arrays],
        layer.trainable_variables,
        upstream=constant(upstream.astype(dtype)),
        along=constant(along.astype(dtype)),
        compiled=compiled,
    )


def layer_and_twin(name, use):
    """Our layer and Keras' in float64, their inputs, a gradient and a direction."""
    rng = np.random.default_rng(1)
    sixteen, exact = layer_twins.twins(
        getattr(layers, name), getattr(keras.layers, name), use, rng
    )
    arrays = layer_twins.inputs_of(use, rng)
    with computed_in("float64"):
        typed = layer_twins.typed(arrays, "float64")
        shape = layer_twins.call(exact, use, typed, True).shape
    return sixteen, exact, (arrays, drawn(*shape), drawn(*arrays[0].shape, seed=2))


@both
@pytest.mark.parametrize("name", RIGHT)
def test_they_are_those_of_float64(name, compiled):
    agrees(name, RIGHT[name], compiled)


@pytest.mark.parametrize(
    "name", ["gelu", "silu", "mish", "softplus", "tanh_shrink", "squareplus", "selu"]
)
def test_those_of_activations_are_those_of_float64(name):
    stock = getattr(keras.activations, name)
    x, along = drawn(16, 8), drawn(16, 8, seed=2)
    mine = _activations.sixteen_bit(stock)
    got = second(mine, [x], along=constant(along))[1]
    with computed_in("float64"):
        exact = constant(along.astype("float64"))
        want = second(stock, [x.astype("float64")], along=exact)[1]
    assert layer_twins.error(got, want) < 16


@pytest.mark.skipif(not HAS_KERNELS, reason="refused where there are no kernels")
@pytest.mark.parametrize("name", RIGHT_BY_KERNELS)
def test_by_kernels_they_are_those_of_float64(name):
    agrees(name, without_chance(name), compiled=False)


def without_chance(name):
    if name != "Attention":
        return CASES[name]
    return case((6, 4), (6, 4), together=True, use_scale=True)


def agrees(name, use, compiled):
    sixteen, exact, given = layer_and_twin(name, use)
    got = of_layer(sixteen, use, *given, compiled)
    with computed_in("float64"):
        want = of_layer(exact, use, *given, False)
    # The first is a sum in which much cancels: the function that was differentiated.
    for mine, right in zip(got[1:], want[1:], strict=True):
        assert layer_twins.error(mine, right, 1.0) < 48


@both
@pytest.mark.parametrize("name", [*REFUSED, *RIGHT_BY_KERNELS])
def test_a_layer_whose_gradient_reads_bits_refuses(name, compiled):
    """Autograd alone would give None, 0 or a part of it, and no word."""
    if name in RIGHT_BY_KERNELS and HAS_KERNELS and not compiled:
        pytest.skip("kernels have them")
    what = (REFUSED | RIGHT_BY_KERNELS)[name]
    use = without_chance(name)
    rng = np.random.default_rng(0)
    layer = use.build(getattr(layers, name), "float16")
    arrays = layer_twins.inputs_of(use, rng)
    value = layer_twins.call(layer, use, layer_twins.typed(arrays, "float16"), True)
    upstream = drawn(*value.shape)
    with pytest.raises(UserError, match=f"{what} has no second derivative"):
        if name == "Embedding":
            of_table(layer, arrays, compiled)
        else:
            along = drawn(*arrays[0].shape)
            of_layer(layer, use, arrays, upstream, along, compiled)


def of_table(layer, arrays, compiled):
    def first(*given):
        weights = layer.trainable_variables
        squared = value_and_gradients(lambda *ids: layer(*ids) ** 2, weights)
        return keras.ops.sum(squared(None, *given)[-1] ** 2)

    return run(first, *arrays, weights=layer.trainable_variables, compiled=compiled)


@both
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_refuses(name, compiled):
    loss = getattr(losses, name)(dtype="float16", **LOSSES[name])
    labels = np.eye(5, dtype="float16")[[0, 3, 1, 4]]
    if name.startswith("Sparse"):
        labels = labels.argmax(axis=1).astype("int32")
    labels = constant(labels)
    with pytest.raises(UserError, match="has no second derivative"):
        second(
            lambda p: loss(labels, p),
            [np.abs(drawn(4, 5)) / 4 + np.float16(0.1)],
            along=constant(drawn(4, 5, seed=2)),
            compiled=compiled,
        )


def test_a_regularizer_refuses():
    penalty = regularizers.L2(0.01)
    with pytest.raises(UserError, match="a regularizer has no second derivative"):
        second(penalty, [drawn(4, 5)], along=constant(drawn(4, 5, seed=2)))


@of_tensorflow("autograph raises errors anew, and most as one of its own")
def test_a_refusal_can_be_caught_outside_a_function_of_tensorflow():
    import tensorflow as tf

    layer = layers.LayerNormalization(dtype="float16")
    direction = constant(drawn(4, 6, seed=2))

    @tf.function
    def penalty(x):
        return second(layer, [x], along=direction)

    with pytest.raises(UserError, match="normalization has no second derivative"):
        penalty(constant(drawn(4, 6)))


def test_what_a_refusal_asks_for_helps():
    """The layer at float32 has the second derivatives of Keras' own."""
    x, along = drawn(4, 6).astype("float32"), drawn(4, 6, seed=2).astype("float32")
    found = [
        second(kind(dtype="float32"), [x], along=constant(along))[1]
        for kind in (layers.LayerNormalization, keras.layers.LayerNormalization)
    ]
    assert np.abs(found[0]).max() > 0.1
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)
