"""Anyone's model in another precision: the same function, weights carried over."""

import keras
import numpy as np
import pytest

from keras16 import precision
from keras16.convert import adapted
from keras16.errors import UserError
from tests.runs import start_over

layers = keras.layers
SHAPE, CLASSES = (8, 8, 2), 5


def convolutional():
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(6, 3)(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def attention():
    inputs = keras.Input(SHAPE)
    x = layers.Reshape((8, 16))(inputs)
    x = layers.MultiHeadAttention(2, 4)(x, x)
    return keras.Model(inputs, layers.Dense(CLASSES)(layers.Flatten()(x)))


def recurrent():
    inputs = keras.Input(SHAPE)
    x = layers.Reshape((8, 16))(inputs)
    x = layers.Bidirectional(layers.LSTM(4))(x)
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def wrapped():
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.TimeDistributed(layers.Dense(3)),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(CLASSES),
        ]
    )


def shared():
    same = layers.Dense(128, activation="tanh")
    inputs = keras.Input(SHAPE)
    x = same(same(layers.Flatten()(inputs)))
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def nested():
    inner = keras.Sequential([keras.Input(SHAPE), layers.BatchNormalization()])
    inputs = keras.Input(SHAPE)
    x = layers.Flatten()(inner(inner(inputs)))
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def branched():
    inputs = keras.Input(SHAPE)
    x = layers.Flatten()(inputs)
    inner_softmax = layers.Dense(6, activation="softmax")(x)
    x = layers.Concatenate()([layers.Dense(6, activation="relu")(x), inner_softmax])
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def normalized():
    adapted = layers.Normalization()
    adapted.adapt(10 + 3 * np.random.default_rng(0).normal(size=(50, *SHAPE)))
    return keras.Sequential(
        [keras.Input(SHAPE), adapted, layers.Flatten(), layers.Dense(CLASSES)]
    )


def separable():
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.SeparableConv2D(4, 3),
            layers.PReLU(),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(CLASSES, kernel_regularizer="l2"),
        ]
    )


def own_dtypes():
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Flatten(),
            layers.Dense(8, dtype="float64"),
            layers.Dense(CLASSES, dtype="float32"),
        ]
    )


MODELS = (
    convolutional,
    attention,
    recurrent,
    wrapped,
    shared,
    nested,
    branched,
    normalized,
    separable,
    own_dtypes,
)


def randomized(model):
    """The model with biases and statistics that a training might have left."""
    random = np.random.default_rng(0)
    for variable in model.weights:
        if "moving_variance" in variable.path:
            variable.assign(0.5 + random.random(variable.shape))
        elif "moving_mean" in variable.path or "bias" in variable.path:
            variable.assign(random.normal(size=variable.shape) / 10)
    return model


def examples():
    return np.random.default_rng(1).normal(size=(9, *SHAPE)).astype("float32")


def outputs(model, x):
    return np.asarray(model(x.astype(model.inputs[0].dtype), training=False), "float64")


@pytest.mark.parametrize("build", MODELS)
@pytest.mark.parametrize("name", ["16", "32"])
def test_the_twin_computes_what_the_model_does(build, name):
    keras.utils.set_random_seed(0)
    model = randomized(build())
    expected = outputs(model, examples())
    row = precision.use(name)
    twin = adapted(model, row)
    precision.assert_dtypes(twin, row)
    assert twin.inputs[0].dtype == row.floatx  # no cast at the door
    tolerance = 1e-2 if name == "16" else 1e-5
    np.testing.assert_allclose(outputs(twin, examples()), expected, atol=tolerance)
    np.testing.assert_array_equal(outputs(model, examples()), expected)  # untouched


def test_the_parts_of_keras16_stand_in_for_keras_own():
    model = convolutional()
    sixteen = adapted(model, precision.use("16"))
    modules = {type(layer).__module__ for layer in sixteen.layers}
    assert "keras16.layers.batch_normalization" in modules
    assert "keras16.layers.global_average_pooling" in modules
    start_over()
    full = adapted(model, precision.use("32"))
    assert not any(type(one).__module__.startswith("keras16") for one in full.layers)


def test_the_statistics_survive_the_way_to_sixteen_bits_and_back():
    model = randomized(convolutional())
    sixteen = adapted(model, precision.use("16"))
    start_over()
    back = adapted(sixteen, precision.use("32"))
    np.testing.assert_allclose(
        outputs(back, examples()), outputs(model, examples()), atol=1e-2
    )
    for old, new in zip(model.variables, back.variables, strict=True):
        np.testing.assert_allclose(new.numpy(), old.numpy(), rtol=2e-3, atol=1e-6)


def head(last):
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, last(layers.Dense(CLASSES)(layers.Flatten()(inputs))))


def softmax_inside():
    inner = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Flatten(),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, inner(inputs))


@pytest.mark.parametrize(
    "build",
    [
        lambda: head(layers.Softmax()),
        lambda: head(layers.Activation("softmax")),
        lambda: head(keras.ops.softmax),
        softmax_inside,
    ],
    ids=["layer", "activation", "operation", "nested"],
)
@pytest.mark.parametrize("name", ["16", "32"])
def test_a_softmax_at_the_end_is_left_out(build, name):
    model = build()
    probabilities = outputs(model, examples())
    twin = adapted(model, precision.use(name))
    logits = outputs(twin, examples())
    assert not np.allclose(logits.sum(axis=1), 1, atol=1e-2)
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(
        shifted / shifted.sum(axis=1, keepdims=True), probabilities, atol=3e-3
    )


def test_a_weight_beyond_float16_is_refused():
    model = wrapped()
    model.layers[-1].kernel.assign(1e6 + 0 * model.layers[-1].kernel)
    with pytest.raises(UserError, match=r"kernel reaches 1e\+06.*--precision bf16"):
        adapted(model, precision.use("16"))


def test_a_model_that_is_not_built_is_refused():
    with pytest.raises(UserError, match="is not built"):
        adapted(keras.Sequential([layers.Dense(2)]), precision.use("16"))
