"""Every public Keras layer: pure as it is, replaced, or refused with a reason."""

from __future__ import annotations

import keras
import layer_cases
import layer_twins
import numpy as np
import pytest

from keras16 import precision
from keras16.audit import audit
from keras16.convert import _translation
from keras16.layers import _refused
from tests.close import host
from tests.traced import ON_JAX, constant, value_and_gradients, with_signature
from tests.traced import wide_tensors as wide_tensors_of

CASES = layer_cases.CASES
PUBLIC = {
    name: part
    for name, part in vars(keras.layers).items()
    if isinstance(part, type) and not name.startswith("_")
}
OURS = _translation.replacements()
REPLACED = sorted(name for name in CASES if PUBLIC[name] in OURS)
AS_IT_IS = sorted(set(CASES) - set(REPLACED))

# What draws numbers, or changes its weights: compared when it doesn't train.
RANDOM = {
    "AdditiveAttention",
    "AlphaDropout",
    "Attention",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "SimpleRNN",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "SpectralNormalization",
}
# TensorFlow has neither float16 nor float64 kernels for volumes on the CPU.
NO_FLOAT64 = {
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling3D",
    "AveragePooling3D",
    "MaxPooling3D",
    # On JAX the operation in it is one of floatx.
    *(["Lambda"] if ON_JAX else []),
}
# Steps of a loop, each with rounding of its own; kernels that add in float16.
LOOSE = {
    "AdditiveAttention": 12,
    "Attention": 12,
    "Bidirectional": 16,
    "Conv2D": 12,
    "Conv2DTranspose": 12,
    "Conv3D": 12,
    "Conv3DTranspose": 12,
    "ConvLSTM1D": 32,
    "ConvLSTM2D": 32,
    "ConvLSTM3D": 48,
    "GRU": 12,
    "GRUCell": 12,
    # Four channels: what is left after two of four dimensions are taken out.
    "LayerNormalization": 20,
    "StackedRNNCells": 16,
}
# The others are compiled in test_layer_numerics.py, or are Keras' own.
COMPILED = (
    "AdaptiveAveragePooling1D",
    "AveragePooling3D",
    "Dot",
    "EinsumDense",
    "LSTMCell",
    "MultiHeadAttention",
    "PReLU",
    "UpSampling2D",
)


class Step(keras.Model):
    """A training step with a layer in it, and nothing that could widen beside it."""

    def __init__(self, layer, case):
        super().__init__(dtype="float16")
        self.layer, self.case = layer, case

    def call(self, x, training=None):
        return layer_twins.call(self.layer, self.case, x, training)

    def train_step(self, data):
        import tensorflow as tf

        floats = [x for x in data[0] if x.dtype.is_floating]
        weights = [weight.value for weight in self.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(floats)
            loss = tf.reduce_sum(tf.square(self(data[0], training=True)))
            loss = tf.add_n([loss, *self.losses])
        of_inputs, *of_weights = self.gradients(tape, loss, floats, weights)
        for weight, gradient in zip(weights, of_weights, strict=True):
            weight.assign_sub(gradient)
        return {"loss": loss, "inputs": of_inputs}

    def gradients(self, tape, loss, floats, weights):
        found = tape.gradient(loss, [*floats, *weights])
        return [found[: len(floats)], *found[len(floats) :]]


def twin(name):
    return OURS.get(PUBLIC[name], PUBLIC[name])


def wide_tensors(cls, case):
    """What is wide in a training step with a layer; on JAX, of its passes alone."""
    layer = case.build(cls, "float16")
    rng = np.random.default_rng(0)
    x = tuple(map(constant, layer_twins.inputs_of(case, rng)))
    if ON_JAX:
        layer_twins.call(layer, case, x, False)
        step = value_and_gradients(
            lambda *x: layer_twins.call(layer, case, x, True), layer.trainable_variables
        )
        return ["a tensor"] * wide_tensors_of(with_signature(step, True), None, *x)
    model = Step(layer, case)
    model(x)
    model.compile(keras.optimizers.SGD())
    # Its learning rate has Keras' default dtype, and isn't the layer's.
    return [wide for wide in audit(model, x).wide if wide.operation != "Variable"]


def test_every_public_layer_is_told_of():
    told = {*map(PUBLIC.get, CASES), *(PUBLIC[name] for name in _refused.REFUSED)}
    untold = {name for name, part in PUBLIC.items() if part not in told}
    assert not untold
    assert not set(CASES) & set(_refused.REFUSED)


# Keras draws the dropout inside of recurrent layers in float32 on JAX (README.md).
WIDE = {"SimpleRNN"} if ON_JAX else set()


@pytest.mark.parametrize("name", CASES)
def test_step_is_pure_without_a_switch(name):
    found = wide_tensors(twin(name), CASES[name])
    assert bool(found) == (name in WIDE), found


SWITCHED = ("AlphaDropout", "BatchNormalization", "Dense", "Embedding", "LSTM")


@pytest.mark.parametrize(
    "name", [*SWITCHED, "LayerNormalization", "MultiHeadAttention", "Normalization"]
)
def test_step_is_pure_after_use(name):
    precision.use("16")
    assert wide_tensors(twin(name), CASES[name]) == []


@pytest.mark.parametrize(
    "name",
    [
        "AdaptiveAveragePooling2D",
        "AlphaDropout",
        "GroupNormalization",
        "GroupQueryAttention",
        "LayerNormalization",
        "MultiHeadAttention",
        "RMSNormalization",
        "UpSampling2D",
    ],
)
def test_stock_keras_is_not_pure(name):
    if ON_JAX and name.endswith("Attention"):
        pytest.skip("JAX has no such attention of float16 on a CPU")
    assert wide_tensors(PUBLIC[name], CASES[name])


def check(name, compiled):
    found = layer_twins.errors(
        twin(name),
        PUBLIC[name],
        CASES[name],
        compiled=compiled,
        training=name not in RANDOM,
        wide="float32" if name in NO_FLOAT64 else "float64",
    )
    assert max(found) <= LOOSE.get(name, 10), found


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradients_are_those_of_float64(name):
    check(name, compiled=False)


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_value_and_gradients_are_those_of_float64(name):
    check(name, compiled=True)


@pytest.mark.parametrize("name", REPLACED)
def test_float32_is_keras(name):
    case = CASES[name]
    rng = np.random.default_rng(0)
    ours, stock = case.build(twin(name), "float32"), case.build(PUBLIC[name], "float32")
    arrays = [a.astype("float32") for a in layer_twins.inputs_of(case, rng)]
    tensors = [constant(a) for a in arrays]
    for layer in (ours, stock):
        layer_twins.call(layer, case, tensors, False)
    assert [w.shape for w in ours.weights] == [w.shape for w in stock.weights]
    seeds = [w for w in stock.weights if "seed" not in w.path]
    ours_without = [w for w in ours.weights if "seed" not in w.path]
    for own, other in zip(ours_without, seeds, strict=True):
        own.assign(other)
    training = name not in RANDOM
    got, want = (
        layer_twins.call(layer, case, tensors, training) for layer in (ours, stock)
    )
    np.testing.assert_allclose(host(got), host(want), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", REPLACED)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_config_is_keras_and_round_trips(name, dtype):
    layer, stock = (CASES[name].build(cls, dtype) for cls in (twin(name), PUBLIC[name]))
    config, expected = layer.get_config(), stock.get_config()
    for one in (config, expected):
        one.pop("name")
        # A nested layer's name counts up, too.
        one.pop("layer", None), one.pop("cell", None)
    assert config == expected
    if "layer" not in layer.get_config():
        again = type(layer).from_config(layer.get_config())
        assert again.get_config() == layer.get_config()


def test_file_round_trips(tmp_path):
    """All of them in one model, since each would be a file of its own."""
    keras.utils.set_random_seed(0)
    rng, inputs, outputs, arrays = np.random.default_rng(0), [], [], []
    for name in REPLACED:
        case = CASES[name]
        dtype = "int32" if case.integers else "float16"
        own = [keras.Input(shape, dtype=dtype) for shape in case.shapes]
        layer = case.build(twin(name), "float16")
        outputs.append(layer(own) if case.together else layer(*own))
        inputs += own
        arrays += layer_twins.inputs_of(case, rng)
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    kinds = [[type(layer) for layer in m.layers] for m in (model, again)]
    assert kinds[0] == kinds[1]
    assert [w.dtype for w in model.weights] == [w.dtype for w in again.weights]
    for name, first, second in zip(REPLACED, model(arrays), again(arrays), strict=True):
        np.testing.assert_array_equal(first, second, err_msg=name)


def classifier(with_attention):
    """A small net of our layers on sequences of eight ids below 20."""
    import keras16.layers as layers

    ids = keras.Input((8,), dtype="int32")
    x = layers.Embedding(20, 16)(ids)
    if with_attention:  # XLA takes long for it
        x = x + layers.MultiHeadAttention(2, 8, dropout=0.1)(x, x)
        x = layers.RMSNormalization()(layers.Dropout(0.1)(x))
    x = layers.LayerNormalization()(x)
    x = layers.Dense(32, activation="gelu")(x)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(ids, layers.Dense(2)(x))


@pytest.mark.parametrize("jit_compile", [True] if ON_JAX else [False, True])
def test_fit_works_and_is_pure(jit_compile):
    from keras16.losses import SparseCategoricalCrossentropy
    from keras16.optimizers.adam import Adam
    from keras16.optimizers.sgd import SGD

    precision.use("16")
    keras.utils.set_random_seed(0)
    model = classifier(with_attention=not jit_compile)
    loss = SparseCategoricalCrossentropy(from_logits=True)
    optimizer = SGD(0.1, momentum=0.9) if jit_compile else Adam(0.01)
    model.compile(optimizer, loss, jit_compile=jit_compile)
    drawn = np.random.default_rng(0).integers(0, 20, (512, 8))
    labels = ((drawn < 10).sum(axis=1) > 3).astype("int32")
    assert audit(model, drawn[:32], labels[:32]).pure
    losses = model.fit(drawn, labels, epochs=6, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]
