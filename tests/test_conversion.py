"""What keras16.convert takes, keeps and refuses: models of every shape."""

import keras
import numpy as np
import pytest

import keras16
from keras16 import precision
from keras16.convert import adapted
from keras16.errors import UserError

layers, ops = keras.layers, keras.ops
RNG = np.random.default_rng(0)
X = RNG.normal(size=(10, 6)).astype("float32")


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


def outputs(model, x=X):
    return np.asarray(model(x, training=False), "float64")


def close(model, twin, x=X, tolerance=4e-3):
    np.testing.assert_allclose(outputs(twin, x), outputs(model, x), atol=tolerance)


def functional(*parts, shape=(6,)):
    inputs = x = keras.Input(shape)
    for part in parts:
        x = part(x)
    return keras.Model(inputs, x)


# Structure


def test_a_layer_shared_between_nested_models_stays_one():
    same = layers.Dense(6, activation="tanh", name="same")
    inner = functional(layers.Dense(6), same)
    other = keras.Sequential([keras.Input((6,)), same])
    model = functional(inner, other, inner, same)
    twin = keras16.convert(model, "16")
    close(model, twin)
    assert len(twin.weights) == len(model.weights) == 4
    found = twin.layers[-1], twin.layers[1].layers[-1], twin.layers[2].layers[-1]
    assert len({id(one) for one in found}) == 1
    assert type(found[0]) is keras16.layers.Dense
    named = {one.layer for one in twin.conversion.replaced}
    assert f"{inner.name}/same" in named


def test_what_wrappers_hold_is_replaced_and_keeps_its_statistics():
    norm = layers.BatchNormalization(axis=-1)
    model = functional(
        layers.Reshape((3, 2)),
        layers.TimeDistributed(norm),
        layers.Bidirectional(layers.GRU(4, dropout=0.1)),
        layers.SpectralNormalization(layers.Dense(4)),
    )
    norm.moving_mean.assign([0.3, -0.2])
    norm.moving_variance.assign([2.0, 0.1])
    twin = keras16.convert(model, "16")
    close(model, twin)
    inner = twin.layers[2].layer, twin.layers[3].forward_layer, twin.layers[4].layer
    assert {type(one).__module__.partition(".")[0] for one in inner} == {"keras16"}
    back = keras16.convert(twin, "32")
    close(model, back)
    assert type(back.layers[2].layer) is layers.BatchNormalization


def test_stacked_cells_lambdas_and_operations():
    cells = [layers.LSTMCell(3), layers.GRUCell(2)]
    inputs = keras.Input((6,))
    x = layers.Reshape((3, 2))(inputs)
    x = layers.RNN(layers.StackedRNNCells(cells))(x)
    x = layers.Lambda(lambda t: t * 2 + 1)(x)
    x = ops.concatenate([x, ops.abs(inputs)], axis=-1)
    model = keras.Model(inputs, ops.relu(x) * 0.5)
    close(model, keras16.convert(model, "16"))


def test_inputs_of_whole_numbers_and_of_text():
    words = keras.Input((2,), dtype="string", name="words")
    look_up = layers.StringLookup(output_mode="int")
    look_up.adapt(["low", "high", "low"])
    numbers = layers.Embedding(4, 3)(look_up(words))
    model = keras.Model(words, layers.Flatten()(numbers))
    twin = keras16.convert(model, "16")
    x = keras.ops.convert_to_tensor([["low", "high"], ["none", "low"]])
    close(model, twin, x)
    assert twin.inputs[0].dtype == "string"


def test_settings_state_and_flags_are_kept():
    draws = layers.Dropout(0.5, seed=7)
    frozen = layers.Dense(
        5,
        kernel_regularizer=keras.regularizers.L2(0.25),
        kernel_constraint=keras.constraints.NonNeg(),
        kernel_initializer=keras.initializers.HeNormal(3),
        trainable=False,
    )
    inner = keras.Sequential([keras.Input((5,)), layers.Dense(2)])
    inner.trainable = False
    model = functional(frozen, draws, inner, layers.Dense(1))
    draws(X, training=True)  # moves the state of its seeds
    twin = keras16.convert(model, "16")
    made = twin.layers[1]
    assert isinstance(made.kernel_regularizer, keras16.regularizers.L2)
    assert type(made.kernel_constraint).__name__ == "NonNeg"
    assert type(made.kernel_initializer).__name__ == "HeNormal"
    assert [one.trainable for one in twin.layers] == [
        one.trainable for one in model.layers
    ]
    assert len(twin.trainable_weights) == len(model.trainable_weights) == 2
    state = twin.layers[2].seed_generator.state
    np.testing.assert_array_equal(state.numpy(), draws.seed_generator.state.numpy())
    back = keras16.convert(twin, "32").layers[1]
    assert type(back.kernel_regularizer) is keras.regularizers.L2
    assert float(back.kernel_regularizer.l2) == 0.25


def test_adapted_statistics_are_kept():
    data = RNG.normal([1000, 1, 0, 0, 0, 0], [0.5, 300, 1, 1, 1, 1], (500, 6))
    norm = layers.Normalization()
    norm.adapt(data.astype("float32"))
    model = functional(norm, layers.Rescaling(0.5, 1))
    twin = keras16.convert(model, "16")
    close(model, twin, data[:9].astype("float16").astype("float32"), 2e-2)
    back = keras16.convert(twin, "32")
    np.testing.assert_allclose(back.layers[1].variance, norm.variance, rtol=2e-3)
    np.testing.assert_allclose(back.layers[1].mean, norm.mean, rtol=1e-6, atol=1e-6)


def test_a_model_that_is_compiled_leaves_its_parts_behind():
    model = functional(layers.Dense(2))
    model.compile("adam", "mse")
    twin = keras16.convert(model, "16")
    assert not twin.compiled
    assert model.compiled
    with pytest.raises(ValueError, match="compile"):
        twin.fit(X, X[:, :2])


# The report


def test_the_report_tells_what_left_the_range():
    model = functional(layers.Dense(2, name="small"), layers.Flatten())
    kernel = np.full((6, 2), 1.0)
    kernel[0], kernel[1] = 1e-9, 1e-6
    model.layers[1].kernel.assign(kernel)
    twin = keras16.convert(model, "16")
    (one,) = twin.conversion.rounded
    assert (one.weight, one.values) == ("small/kernel", 12)
    assert (one.vanished, one.subnormal) == (2, 2)
    text = str(twin.conversion)
    assert "keras.layers.Dense -> keras16.layers.Dense: small" in text
    assert "small/kernel: of 12 values 2 became 0, 2 are subnormal" in text
    assert "kept as they are: 1 layers" in text


def test_every_weight_beyond_the_range_is_named():
    model = functional(layers.Dense(2, name="a"), layers.Dense(2, name="b"))
    for layer in model.layers[1:]:
        layer.kernel.assign(layer.kernel * 0 + 1e6)
    with pytest.raises(UserError, match=r"a/kernel reaches 1e\+06.*b/kernel"):
        keras16.convert(model, "16")
    assert keras16.convert(model, "bf16").weights[0].dtype == "bfloat16"


# Refusals


@keras.saving.register_keras_serializable("tests")
class Scaled(layers.Layer):
    """A user's layer whose arithmetic follows its dtype."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.factor


@keras.saving.register_keras_serializable("tests")
class Widening(layers.Layer):
    """A user's layer that computes in float32 by itself."""

    def call(self, x):
        return ops.cast(ops.cast(x, "float32") * 2, x.dtype)


@keras.saving.register_keras_serializable("tests")
class Block(layers.Layer):
    """A user's layer of Keras' layers."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.dense, self.norm = layers.Dense(6), layers.BatchNormalization()

    def build(self, shape):
        self.dense.build(shape)
        self.norm.build(shape)

    def call(self, x, training=None):
        return self.norm(self.dense(x), training=training)


def test_a_users_own_layer_that_is_pure_is_converted(tmp_path):
    model = functional(Scaled(), layers.Dense(2))
    twin = keras16.convert(model, "16")
    close(model, twin)
    twin.save(tmp_path / "own.keras")
    close(model, keras.models.load_model(tmp_path / "own.keras"))


def test_what_is_not_pure_is_named_with_what_to_do():
    model = functional(layers.Dense(6), Widening(name="wide"), layers.Dense(2))
    with pytest.raises(UserError, match=r"can't be made pure.*wide") as caught:
        keras16.convert(model, "16")
    assert "dense" not in str(caught.value)
    twin = keras16.convert(model, "16", check=False)
    close(model, twin)
    with pytest.raises(UserError, match=r"block.*keras16\.layers\.BatchNormalization"):
        keras16.convert(functional(Block(name="block")), "16")


def test_an_operation_that_is_not_pure_is_named():
    inputs = keras.Input((6,))
    mean = keras.ops.mean(layers.Dense(4)(inputs), axis=-1)
    with pytest.raises(UserError, match=r"pure 16-bit: operation \(keras Mean\.call\)"):
        keras16.convert(keras.Model(inputs, mean))


@pytest.mark.parametrize(
    ("layer", "shape", "text"),
    [
        (layers.RandomFlip(name="flip"), (4, 4, 3), r"'flip' \(RandomFlip\).*pipeline"),
        (layers.Discretization([0.5], output_mode="one_hot"), (1,), "Discretization"),
        (
            layers.BatchNormalization(renorm=True, name="bn"),
            (6,),
            r"^layer 'bn' can't be made pure 16-bit: .*leave them False\.$",
        ),
        (
            layers.TimeDistributed(
                layers.UpSampling2D(interpolation="bicubic"), name="frames"
            ),
            (2, 4, 4, 3),
            r"^layer 'frames' can't be made pure 16-bit: .*: use 'bilinear'\.$",
        ),
    ],
    ids=["augmentation", "one_hot", "renorm", "inside_another"],
)
def test_layers_without_a_16_bit_form_are_refused_by_name(layer, shape, text):
    with pytest.raises(UserError, match=text) as caught:
        keras16.convert(functional(layer, shape=shape), "16")
    assert "layer dtype=" not in str(caught.value)  # the net is given as a whole
    assert keras.config.floatx() == "float32"


class Proud(layers.Layer):
    """Wants to be float32."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        if self.compute_dtype != "float32":
            raise ValueError("never in 16 bits")

    def call(self, x):
        return x


def test_a_layer_that_can_not_be_made_anew_tells_why_in_its_own_words():
    with pytest.raises(UserError, match=r"\(at layer 'proud'\): never in 16 bits$"):
        keras16.convert(functional(Proud(name="proud")), "16")


def test_a_subclassed_model_inside_stays_where_an_audit_tells_of_it():
    inner = Net()
    model = functional(layers.Dense(6), inner)
    with pytest.raises(UserError, match="is subclassed: convert it by itself"):
        keras16.convert(model, "16")
    row = precision.get("16")
    for logits in (True, False):
        twin = adapted(model, row, logits)
        assert inner in twin.layers


def test_what_is_no_built_model_is_refused():
    with pytest.raises(UserError, match="is not built"):
        keras16.convert(keras.Sequential([layers.Dense(2)]))
    with pytest.raises(UserError, match="not Dense"):
        keras16.convert(layers.Dense(2))


# Subclassed models


class Net(keras.Model):
    """A graph of layers, written as a class."""

    def __init__(self):
        super().__init__()
        self.first = layers.Dense(8, activation="gelu")
        self.drop = layers.Dropout(0.5)
        self.norm = layers.BatchNormalization()
        self.last = layers.Dense(2)

    def call(self, x, training=None):
        x = self.drop(self.first(x), training=training)
        return self.last(self.norm(x, training=training) + 1)


class Branching(Net):
    """Of another graph in training."""

    def call(self, x, training=None):
        x = self.first(x)
        return self.last(self.norm(x) if training else x)


class Stepping(Net):
    """With a training of its own."""

    def train_step(self, data):
        return super().train_step(data)


class Holding(Net):
    """With a weight of its own."""

    def __init__(self):
        super().__init__()
        self.scale = self.add_weight(shape=(8,), initializer="ones", name="scale")

    def call(self, x, training=None):
        return self.last(self.norm(self.first(x) * self.scale))


def called(cls):
    model = cls()
    model(X, training=True)
    return model


def test_a_subclassed_graph_of_layers_is_converted(tmp_path):
    model = called(Net)
    twin = keras16.convert(model, "16")
    # The mean of 8 units of about 2, each normalized by a slope of 11 bits.
    close(model, twin, tolerance=1e-2)
    assert {v.path.split("/")[0] for v in twin.weights} == {
        one.name for one in model.layers if one.weights
    }
    assert twin.name == model.name
    twin.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(outputs(loaded), outputs(twin))
    assert not np.array_equal(twin(X, training=True), outputs(twin))  # dropout


@pytest.mark.parametrize(
    ("cls", "text"),
    [
        (Branching, "something else in training"),
        (Stepping, "train_step of its own"),
        (Holding, "scale belongs to none of its layers"),
    ],
)
def test_what_of_subclassed_models_is_not_possible(cls, text):
    with pytest.raises(UserError, match=text):
        keras16.convert(called(cls), "16")


def test_a_subclassed_model_inside_another_is_named():
    model = functional(called(Net))
    with pytest.raises(UserError, match="is subclassed: convert it by itself"):
        keras16.convert(model, "16")
