"""Maxima of windows: values and gradients are Keras' own, to the bit."""

import keras
import numpy as np
import pytest

from keras16 import backend, layers
from keras16.numerics import pooling
from tests.close import host, rounded
from tests.traced import both, constant, value_and_gradients, with_signature


def drawn(shape, kind, seed=0):
    """Images of float16: of many values, of few (so that there are ties), or one."""
    random = np.random.default_rng(seed)
    x = {
        "many": random.normal(size=shape),
        "few": random.integers(-1, 2, shape),
        "one": np.zeros(shape),
        "large": random.choice([-65504.0, 65504.0, -np.inf, np.inf], shape),
    }
    return x[kind].astype("float16")


def step_of(function, compiled):
    return with_signature(value_and_gradients(function), compiled)


def assert_same(function, exact, x, compiled):
    """Value and gradient beside those of the same numbers in float32."""
    outer = exact(constant(x.astype("float32"))).shape
    upstream = np.arange(np.prod(outer), dtype="float32").reshape(outer) / 4
    found = step_of(function, compiled)(
        constant(upstream.astype("float16")), constant(x)
    )
    expected = step_of(exact, False)(constant(upstream), constant(x.astype("float32")))
    for got, want in zip(found, expected, strict=True):
        assert keras.backend.standardize_dtype(got.dtype) == "float16"
        np.testing.assert_array_equal(host(got), rounded(host(want), "float16"))


@both
@pytest.mark.parametrize("kind", ["many", "few", "one", "large"])
@pytest.mark.parametrize("size", [(2, 2), (3, 1), (1, 1), (6, 4)])
def test_windows_side_by_side(size, kind, compiled):
    x = drawn((3, 6, 8, 5), kind)
    assert_same(
        lambda x: pooling.max_pool(x, size),
        lambda x: keras.ops.max_pool(x, size, size),
        x,
        compiled,
    )


@both
@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((2, 6, 6, 3), {}),
        ((2, 7, 9, 3), {}),  # rows and columns are left over
        ((2, 7, 9, 3), {"padding": "same"}),
        ((2, 7, 9, 3), {"pool_size": 3, "strides": 2}),
        ((2, 2, 2, 3), {"pool_size": 2, "padding": "same"}),
    ],
)
def test_the_layer_pools_as_keras(shape, settings, compiled, monkeypatch):
    monkeypatch.setattr(backend.module(), "compiles", lambda *_: True)
    ours = layers.MaxPooling2D(**settings, dtype="float16")
    stock = keras.layers.MaxPooling2D(**settings, dtype="float32")
    assert_same(ours, stock, drawn(shape, "many"), compiled)


def test_a_batch_of_unknown_size():
    layer = layers.MaxPooling2D(dtype="float16")
    model = keras.Sequential([keras.Input((4, 4, 1), dtype="float16"), layer])
    for batch in (1, 3):
        assert model(np.zeros((batch, 4, 4, 1), "float16")).shape == (batch, 2, 2, 1)
