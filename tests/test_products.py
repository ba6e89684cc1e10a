"""Products of matrices, and their gradients, against float64's."""

import keras
import numpy as np
import pytest
from keras import ops

from keras16 import backend, compilation, convert, hardware, layers
from keras16.numerics import products
from tests.traced import (
    computed_in,
    constant,
    needs_kernels,
    run,
    with_signature,
)

EQUATIONS = [
    ("abc,cd->abd", (3, 5, 7), (7, 4)),
    ("aecd,abcd->acbe", (2, 6, 3, 8), (2, 5, 3, 8)),  # scores of attention
    ("acbe,aecd->abcd", (2, 3, 5, 6), (2, 6, 3, 8)),  # and what they weigh
    ("abc,cde->abde", (3, 5, 7), (7, 2, 4)),
    ("abcd,cde->abe", (3, 5, 2, 4), (2, 4, 6)),
    ("...x,xy->...y", (3, 5, 7), (7, 4)),
    ("...ab,...bc->...ac", (2, 3, 4, 5), (3, 5, 6)),
    ("ab,cb->ca", (4, 5), (3, 5)),
    ("ab,ab->a", (3, 5), (3, 5)),
    ("ab,cd->abcd", (2, 3), (4, 5)),
    ("abc,bcd->bad", (4, 3, 5), (3, 5, 6)),
]
SHAPES = [
    ((3, 4), (4, 5)),
    ((2, 3, 4), (4, 5)),
    ((3, 4), (2, 4, 5)),
    ((2, 1, 4, 5), (3, 5, 6)),
    ((7, 33, 70), (7, 70, 17)),
    ((1, 3, 4), (1, 4, 5)),
    ((0, 3, 4), (0, 4, 5)),
    ((2, 3, 0), (2, 0, 5)),
]


def draws(*shapes):
    draw = np.random.default_rng(sum(map(len, shapes)))
    return [draw.normal(size=shape).astype("float16") for shape in shapes]


def assert_products(function, of_keras, *shapes):
    """Value and gradients, each within a rounding of Keras' own in float64."""
    x, y = draws(*shapes)
    upstream = draws(of_keras(x.astype("float64"), y.astype("float64")).shape)[0]
    wide = [array.astype("float64") for array in (x, y, upstream)]
    with computed_in("float64"):
        exact, sizes = (
            run(of_keras, *of[:2], upstream=of[2])
            for of in (wide, [np.abs(array) for array in wide])
        )
    found = run(function, x, y, upstream=upstream)
    for got, want, size in zip(found, exact, sizes, strict=True):
        assert got.shape == want.shape
        bound = np.abs(want) * 2.0**-11 + size * 2.0**-20 + 2.0**-25
        assert (np.abs(got - want) <= bound).all()


def of_einsum(equation):
    return lambda x, y: ops.einsum(equation, x, y)


@pytest.mark.parametrize(("equation", "of_x", "of_y"), EQUATIONS)
def test_einsum(equation, of_x, of_y):
    assert_products(
        lambda x, y: products.einsum(equation, x, y), of_einsum(equation), of_x, of_y
    )


@pytest.mark.parametrize(("of_x", "of_y"), SHAPES)
def test_matmul(of_x, of_y):
    assert_products(products.matmul, ops.matmul, of_x, of_y)


@needs_kernels
@pytest.mark.parametrize("equation", ["abc,bcd->bad", "...ab,...bc->...ac"])
def test_lengths_that_only_the_run_knows(equation):
    x, y = draws((4, 3, 5), (3, 5, 6) if equation[0] == "a" else (4, 5, 6))
    signature = [((None, *x.shape[1:]), "float16"), (y.shape, "float16")]
    step = with_signature(
        lambda x, y: products.einsum(equation, x, y), False, *signature
    )
    found = np.asarray(step(constant(x), constant(y)), "float64")
    np.testing.assert_allclose(found, np.einsum(equation, x, y), rtol=1e-2, atol=1e-2)


# Which models' steps are left to XLA


def twin(*of_layers, shape=(8, 8, 3)):
    return convert(keras.Sequential([keras.layers.Input(shape), *of_layers]))


def block():
    """A functional model with a shortcut, as Keras' operators write it."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(3, 3, padding="same")(inputs)
    x = keras.layers.BatchNormalization()(keras.layers.AveragePooling2D(2)(x + inputs))
    return convert(keras.Model(inputs, keras.layers.Dense(2)(x)))


class Doubled(keras.Sequential):
    """A model with a part of the step of its own."""

    def compute_loss(self, *args, **kwargs):
        return super().compute_loss(*args, **kwargs) * 2


class Squared(keras.layers.Layer):
    """A layer of a user's."""

    def call(self, x):
        return ops.matmul(x, ops.transpose(x))


def functional_product():
    inputs = keras.Input((4, 3), dtype="float16")
    return keras.Model(inputs, ops.matmul(inputs, ops.swapaxes(inputs, 1, 2)))


MODELS = {
    "convolutions": (lambda: twin(keras.layers.Conv2D(2, 3)), True),
    "block": (block, True),
    "attention": (lambda: attended(), True),
    "each of them": (
        lambda: twin(keras.layers.TimeDistributed(keras.layers.Dense(2)), shape=(4, 3)),
        True,
    ),
    "recurrent": (lambda: twin(keras.layers.LSTM(3), shape=(4, 3)), False),
    "both ways": (
        lambda: twin(
            keras.layers.Bidirectional(keras.layers.GRU(3)),
            shape=(4, 3),
        ),
        False,
    ),
    "stock": (
        lambda: keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]),
        False,
    ),
    "stock, not built": (lambda: keras.Sequential([keras.layers.Dense(2)]), False),
    "means of windows": (
        lambda: keras.Sequential([keras.layers.AveragePooling2D(2)]),
        False,
    ),
    "any code": (
        lambda: keras.Sequential([keras.layers.Lambda(lambda x: ops.matmul(x, x))]),
        False,
    ),
    "volumes back": (
        lambda: twin(keras.layers.Conv3DTranspose(2, 2), shape=(3, 3, 3, 2)),
        False,
    ),
    "of a user": (lambda: keras.Sequential([Squared()]), False),
    "a step of one's own": (lambda: Doubled([layers.Dense(2)]), False),
    "an operation": (functional_product, False),
}


def attended():
    inputs = keras.Input((4, 8))
    x = keras.layers.MultiHeadAttention(2, 4)(inputs, inputs)
    return convert(keras.Model(inputs, keras.layers.LayerNormalization()(x)))


@pytest.mark.parametrize("name", MODELS)
def test_what_keras_multiplies_is_left_to_xla(monkeypatch, name):
    make, ours = MODELS[name]
    model = make()
    monkeypatch.setattr(hardware, "native_float16", lambda: True)
    assert compilation.is_ours(model, "float16")
    assert compilation.is_ours(model, "mixed_float16") is ours
    monkeypatch.setattr(hardware, "native_float16", lambda: False)
    assert compilation.is_ours(model, "float16") is ours


def test_so_is_a_loss_of_ones_own(monkeypatch):
    monkeypatch.setattr(hardware, "native_float16", lambda: False)
    asked = []
    monkeypatch.setattr(
        backend.module(), "compiles", lambda *given: asked.append(given[2]) or False
    )
    model = twin(keras.layers.Dense(2), shape=(3,))
    model.compile("sgd", "mse")
    model.compile("sgd", lambda y, found: ops.abs(y - found)[:, 0])
    assert asked == [True, False]


@needs_kernels
@pytest.mark.parametrize("name", ["block", "attention", "recurrent"])
def test_a_step_without_float16_arithmetic_is_right(monkeypatch, name):
    """The recurrent net's by XLA, the others' by our kernels."""
    monkeypatch.setattr(hardware, "native_float16", lambda: False)
    monkeypatch.setattr(hardware, "float16_kernels", lambda: False)
    keras.utils.set_random_seed(0)
    make, ours = MODELS[name]
    model = make()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    assert model.jit_compile is not ours
    assert compilation.compiles(model, "float16", model.loss) is not ours
    x = draws((8, *model.input_shape[1:]))[0]
    before = np.asarray(model(x, training=True), "float64")
    y = np.ones_like(before, "float16")
    losses = model.fit(x, y, epochs=3, batch_size=8, verbose=0).history["loss"]
    assert losses[0] == pytest.approx(np.mean((before - 1) ** 2), rel=2e-3)
    assert losses[0] > 1.01 * losses[1] > 1.01**2 * losses[2]
