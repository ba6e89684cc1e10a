"""keras16.convert in a notebook: beside the original, without any global switch."""

import subprocess
import sys
from contextlib import nullcontext

import keras
import numpy as np
import pytest

import keras16
from keras16 import backend, optimizers
from keras16.errors import UserError
from keras16.numerics import reductions
from tests.traced import ON_JAX, of_tensorflow

layers = keras.layers
SHAPE, CLASSES = (8, 8, 2), 4
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, *SHAPE)).astype("float32")
Y = np.arange(40) % CLASSES


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


def convolutional():
    inputs = keras.Input(SHAPE)
    x = layers.Conv2D(6, 3, kernel_regularizer="l2", use_bias=False)(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(inputs, layers.Dense(CLASSES, activation="softmax")(x))


def dense(classes=CLASSES):
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Flatten(),
            layers.Dense(8, activation="relu", kernel_constraint="max_norm"),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def two_outputs():
    inputs = {"a": keras.Input((3,), name="a"), "b": keras.Input((2,), name="b")}
    x = layers.Concatenate()([inputs["a"], inputs["b"]])
    first = layers.Dense(3, activation="softmax", name="kind")(x)
    return keras.Model(inputs, [first, layers.Dense(1, name="size")(x)])


@pytest.fixture(scope="module")
def trained():
    """A twin after an epoch, its original, and what the epoch said."""
    keras.utils.set_random_seed(0)
    model = convolutional()
    twin = keras16.convert(model, "16")
    twin.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = twin.fit(X, Y, epochs=2, batch_size=20, verbose=0).history
    return twin, model, history


def is_ours(part):
    return type(part).__module__.startswith("keras16.")


def outputs(model, x=X):
    return [
        np.asarray(y, "float64") for y in keras.tree.flatten(model(x, training=False))
    ]


def close(model, twin, x=X, tolerance=2e-3):
    for exact, ours in zip(outputs(model, x), outputs(twin, x), strict=True):
        np.testing.assert_allclose(ours, exact, atol=tolerance)


# What it is


def test_the_twin_gives_the_same_outputs_softmax_included():
    model = convolutional()
    twin = keras16.convert(model, "16")
    close(model, twin)
    np.testing.assert_allclose(outputs(twin)[0].sum(axis=1), 1, atol=2e-3)
    assert [one.name for one in twin.layers] == [one.name for one in model.layers]
    assert twin.name == model.name
    assert {v.dtype for v in twin.weights} == {"float16", "int16"}
    assert {v.dtype for v in model.weights} == {"float32"}
    assert not twin.compiled


def test_the_step_is_pure_as_keras_own_is_not(trained):
    twin, model, _ = trained
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert not keras16.audit(model, X, Y).pure
    report = keras16.audit(twin, X, Y)
    assert report.pure, report


def test_no_global_switch_is_touched(trained):
    _, _, history = trained
    assert keras.config.floatx() == "float32"
    assert keras.config.dtype_policy().name == "float32"
    assert np.isfinite(history["loss"]).all()
    from keras.src import metrics

    assert metrics.Mean is keras.metrics.Mean
    trainer, iterator = backend.module().epoch_iterator()
    assert getattr(trainer, iterator).__module__.startswith("keras.")


def test_names_become_parts_of_keras16(trained):
    twin, _, _ = trained
    assert is_ours(twin.optimizer)
    assert is_ours(twin.loss)
    assert all(is_ours(m) for m in twin.metrics[1].metrics)
    assert is_ours(twin.metrics[0])  # the loss tracker
    assert twin.metrics[0].dtype == "float16"


@pytest.mark.parametrize("twin_first", [True, False])
def test_the_float32_original_trains_as_if_alone(twin_first):
    def loss_of(beside):
        keras.utils.set_random_seed(1)
        model = dense()
        twin = keras16.convert(model, "16") if beside else None
        if twin is not None:
            twin.compile("sgd", "sparse_categorical_crossentropy")
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        found = []
        for _ in range(2):  # interleaved
            if twin is not None and twin_first:
                twin.fit(X, Y, batch_size=20, verbose=0, shuffle=False)
            logs = model.fit(X, Y, batch_size=20, verbose=0, shuffle=False).history
            found.append((logs["loss"][0], logs["accuracy"][0]))
            if twin is not None and not twin_first:
                twin.fit(X, Y, batch_size=20, verbose=0, shuffle=False)
        assert {v.dtype for v in model.metrics_variables} == {"float32"}
        assert type(model.metrics[0]) is keras.metrics.Mean
        return found

    assert loss_of(beside=True) == loss_of(beside=False)


def test_training_agrees_with_float32():
    keras.utils.set_random_seed(0)
    model = dense()
    twin = keras16.convert(model, "16")
    losses = []
    for one in (model, twin):
        one.compile(
            keras.optimizers.SGD(0.05),
            keras.losses.SparseCategoricalCrossentropy(),
            metrics=["accuracy"],
        )
        logs = one.fit(X, Y, batch_size=20, epochs=3, verbose=0, shuffle=False)
        losses.append(logs.history["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=5e-3)


# compile


@pytest.mark.parametrize(
    ("optimizer", "name"),
    [
        ("adam", "Adam"),
        (keras.optimizers.AdamW(1e-3, weight_decay=0.1), "AdamW"),
        ({"class_name": "SGD", "config": {"momentum": 0.9}}, "SGD"),
        (keras16.optimizers.RMSprop(), "RMSprop"),
        (keras.optimizers.Nadam(keras.optimizers.schedules.CosineDecay(0.1, 9)), 0),
    ],
)
def test_every_way_to_name_an_optimizer(optimizer, name):
    twin = keras16.convert(dense(), "16", check=False)
    twin.compile(optimizer, "sparse_categorical_crossentropy")
    assert is_ours(twin.optimizer)
    if name:
        assert type(twin.optimizer).__name__ == name
    else:
        assert is_ours(twin.optimizer._learning_rate)


class Own(keras.optimizers.SGD):
    """A user's optimizer, of whatever arithmetic."""


@pytest.mark.parametrize(
    ("compiled", "text"),
    [
        ({"optimizer": Own()}, "no 16-bit Own"),
        (
            {"optimizer": keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())},
            "scales no loss",
        ),
        ({"optimizer": keras.optimizers.Ftrl()}, "no 16-bit Ftrl"),
        ({"optimizer": "sgd", "loss": "ctc"}, "CTC"),
        ({"optimizer": "sgd", "loss": "mse", "metrics": ["r2_score"]}, "R2Score"),
        ({"optimizer": "sgd", "loss": "no_such_loss"}, "no loss 'no_such_loss'"),
    ],
    ids=["own", "scaled", "ftrl", "ctc", "r2", "unknown"],
)
def test_what_has_no_equal_is_named(compiled, text):
    twin = keras16.convert(dense(), "16", check=False)
    with pytest.raises(UserError, match=text):
        twin.compile(**compiled)
    assert keras.config.floatx() == "float32"  # after an error, too


def wide_error(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


def pure_error(y_true, y_pred):
    return reductions.mean(keras.ops.square(y_true - y_pred), axis=-1)


def needs_ids(y_true, y_pred):
    if len(y_true.shape) > 1:
        raise ValueError("class ids")
    return wide_error(y_true[:, None], y_pred)


# `pytest.warns` gives the warnings that it isn't about as the test's own, not Keras'.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_function_of_ones_own_that_is_wide_is_told():
    twin = keras16.convert(dense(), "16", check=False)
    for given in {"loss": wide_error}, {"metrics": [wide_error]}:
        with pytest.warns(UserWarning, match="'wide_error' is not 16-bit"):
            twin.compile("sgd", **given)
    twin.compile("sgd", needs_ids)  # can't be told before there are labels
    twin.compile("sgd", pure_error, metrics=[pure_error])  # warnings are errors
    y = keras.utils.to_categorical(Y)
    assert keras16.audit(twin, X, y).pure


def test_losses_and_metrics_per_output():
    keras.utils.set_random_seed(0)
    model = two_outputs()
    twin = keras16.convert(model, "16")
    x = {
        "a": RNG.normal(size=(20, 3)).astype("float32"),
        "b": RNG.normal(size=(20, 2)).astype("float32"),
    }
    y = [np.arange(20) % 3, RNG.normal(size=(20, 1))]
    close(model, twin, x)
    logs = []
    for one in (model, twin):
        one.compile(
            "sgd",
            loss={"kind": "sparse_categorical_crossentropy", "size": "mse"},
            loss_weights={"kind": 0.5, "size": 2.0},
            metrics={"kind": ["accuracy"], "size": keras.metrics.MeanAbsoluteError()},
            weighted_metrics=[None, ["mse"]],
            jit_compile=ON_JAX,
        )
        logs.append(one.evaluate(x, y, verbose=0, return_dict=True))
    assert set(logs[0]) == set(logs[1])
    for name, exact in logs[0].items():
        assert logs[1][name] == pytest.approx(exact, rel=3e-3, abs=1e-3), name
    weight = [np.linspace(0.5, 1, 20), np.ones(20)]
    assert np.isfinite(twin.fit(x, y, sample_weight=weight, verbose=0).history["loss"])
    report = keras16.audit(twin, x, y)
    assert report.pure, report
    assert all(is_ours(metric) for metric in twin._compile_loss.metrics)


# Data and callbacks


def test_class_ids_given_as_floats_are_not_rounded():
    """float16 has 2,048 and 2,050; stock Keras casts ids with all other floats."""
    net = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3000)])
    x = np.eye(8, dtype="float32")
    ids = np.arange(2044, 2060, 2) + 1
    weight = np.zeros((8, 3000), "float32")
    weight[np.arange(8), ids] = 20  # each example is of its own class
    net.layers[0].set_weights([weight, np.zeros(3000, "float32")])
    twin = keras16.convert(net, "16")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    twin.compile("sgd", loss, metrics=["accuracy"])
    floats = ids.astype("float32")
    assert (floats.astype("float16") != ids).any()
    assert twin.evaluate(x, floats, verbose=0)[1] == 1
    told = twin.fit(x, floats, validation_data=(x, floats), verbose=0).history
    assert told["accuracy"] == told["val_accuracy"] == [1.0]


def batches(kind):
    if kind == "dataset":
        import tensorflow as tf

        return tf.data.Dataset.from_tensor_slices((X, Y)).batch(20)
    if kind == "generator":
        return ((X[i : i + 20], Y[i : i + 20]) for i in (0, 20) * 2)

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, i):
            return X[20 * i : 20 * i + 20], Y[20 * i : 20 * i + 20]

    return Batches()


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("dataset", marks=of_tensorflow("its pipeline")),
        "generator",
        "pydataset",
    ],
)
def test_batches_of_any_pipeline_enter_the_step_in_16_bits(kind):
    keras.utils.set_random_seed(0)
    twin = keras16.convert(dense(), "16", check=False)
    seen = []

    twin.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    original = twin.compute_loss

    def compute_loss(x, *arguments, **more):
        seen.append(x.dtype.name)
        return original(x, *arguments, **more)

    twin.compute_loss = compute_loss
    twin.fit(batches(kind), steps_per_epoch=2, verbose=0, shuffle=False)
    assert len(seen) >= 2  # JAX traces a step to begin with
    assert {*seen} == {"float16"}


def test_a_callback_may_train_another_model():
    model = dense()
    model.compile("sgd", "sparse_categorical_crossentropy")
    twin = keras16.convert(model, "16", check=False)
    twin.compile("sgd", "sparse_categorical_crossentropy")
    seen = []

    def end_of_epoch(epoch, logs):
        model.fit(X, Y, verbose=0)
        seen.append((keras.config.floatx(), type(model.metrics[0]), layers.Dense(1)))

    watch = keras.callbacks.LambdaCallback(on_epoch_end=end_of_epoch)
    stop = keras.callbacks.EarlyStopping("loss", patience=0, min_delta=1e9)
    history = twin.fit(X, Y, epochs=5, callbacks=[watch, stop], verbose=0)
    assert len(history.history["loss"]) == 2  # the second callback did its work
    assert [one[:2] for one in seen] == [("float32", keras.metrics.Mean)] * 2
    assert seen[0][2].compute_dtype == "float32"


def test_single_batches_and_class_weights():
    keras.utils.set_random_seed(0)
    twin = keras16.convert(dense(), "16", check=False)
    twin.compile(
        "sgd",
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=ON_JAX,
    )
    first = twin.train_on_batch(X[:20], Y[:20], return_dict=True)
    for _ in range(20):
        last = twin.train_on_batch(X[:20], Y[:20], return_dict=True)
    assert last["loss"] < first["loss"]
    assert twin.predict_on_batch(X[:20]).dtype == "float16"
    logs = twin.fit(X, Y, class_weight={0: 2.0, 1: 1.0, 2: 1.0, 3: 0.5}, verbose=0)
    assert np.isfinite(logs.history["loss"]).all()
    assert keras.config.floatx() == "float32"


# Saving


def test_a_saved_twin_loads_compiled_without_use(trained, tmp_path):
    twin, _, _ = trained
    twin.save(tmp_path / "twin.keras")
    loaded = keras.models.load_model(tmp_path / "twin.keras")
    assert type(loaded) is type(twin)
    np.testing.assert_array_equal(outputs(loaded)[0], outputs(twin)[0])
    assert is_ours(loaded.optimizer)
    assert is_ours(loaded.loss)
    assert int(loaded.optimizer.iterations) == 4
    for old, new in zip(
        twin.optimizer.variables, loaded.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(new.numpy(), old.numpy())
    assert keras16.audit(loaded, X, Y).pure


def test_the_way_back_loads_without_keras16(trained, tmp_path):
    twin, model, _ = trained
    back = keras16.convert(twin, "32")
    modules = {type(one).__module__.partition(".")[0] for one in back.layers}
    assert modules == {"keras"}
    assert type(back) is type(model)
    close(back, twin)
    assert [v.path for v in back.weights] == [v.path for v in model.weights]
    back.save(tmp_path / "back.keras")
    np.save(tmp_path / "x.npy", X)
    program = (
        "import sys; sys.modules['keras16'] = None\n"
        "import keras, numpy as np\n"
        "model = keras.models.load_model('back.keras')\n"
        "np.save('y.npy', model(np.load('x.npy')))\n"
        "assert not any(name.startswith('keras16.') for name in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), outputs(back)[0], atol=1e-6)


def test_statistics_go_there_and_back_to_24_bits():
    model = convolutional()
    norm = next(o for o in model.layers if "batch" in o.name)
    norm.moving_mean.assign(RNG.normal(size=6) * [1e-6, 1e-3, 1, 10, 1e3, 0])
    norm.moving_variance.assign([1e-6, 1e-3, 1.1, 10, 1e6, 3e9])
    back = keras16.convert(keras16.convert(model, "16", check=False), "32")
    again = next(o for o in back.layers if "batch" in o.name)
    for name in ("moving_mean", "moving_variance"):
        exact = getattr(norm, name).numpy()
        # Half a unit of 2**-15 of a last place, and that of a subnormal: 2**-40.
        np.testing.assert_allclose(
            getattr(again, name).numpy(), exact, rtol=2.0**-23, atol=2.0**-39
        )


def test_other_precisions_have_other_policies():
    model = dense()
    bf16 = keras16.convert(model, "bf16")
    assert {v.dtype for v in bf16.weights} == {"bfloat16"}
    close(model, bf16, tolerance=2e-2)
    mixed = keras16.convert(bf16, "mixed")
    assert {v.dtype for v in mixed.weights} == {"float32"}
    assert mixed.layers[-1].compute_dtype == "float16"
    assert type(mixed) is keras.Sequential
    with pytest.raises(UserError, match="no conversion to 16-plain"):
        keras16.convert(model, "16-plain")


def is_compiled_here():
    """Whether XLA compiles what is being traced."""
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_util as private

    return private.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def fitted(monkeypatch, train_step=None, **settings):
    """(weights after two epochs, whether each update was traced for XLA)."""
    keras.utils.set_random_seed(0)
    twin = keras16.convert(convolutional(), "16")
    if train_step is not None:
        twin.train_step = train_step(twin.train_step)
    twin.compile("adam", "sparse_categorical_crossentropy", **settings)
    found, apply = [], type(twin.optimizer).apply

    def watched(self, *args):
        found.append(is_compiled_here())
        return apply(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(type(twin.optimizer), "apply", watched)
        # Batches of 16 and one of 8.
        twin.fit(X, Y, epochs=2, batch_size=16, verbose=0, shuffle=False)
    assert twin.jit_compile == settings["jit_compile"]
    return [np.asarray(variable) for variable in twin.variables], found


@of_tensorflow("graphs around compiled programs")
def test_updates_stay_out_of_the_step_that_is_compiled(monkeypatch):
    if backend.module().has_gpu():
        pytest.skip("on a GPU the whole step is one program")
    settings = {"jit_compile": True, "steps_per_execution": 2}
    # Inside a compiled step there is no kernel of the update, which rounds otherwise.
    monkeypatch.setattr(optimizers.Adam, "_has_kernel", lambda self: False)
    apart, is_compiled = fitted(monkeypatch, **settings)
    assert is_compiled and not any(is_compiled)
    with monkeypatch.context() as patch:
        patch.setattr(backend.module(), "in_parts", lambda twin: nullcontext())
        whole, is_compiled = fitted(monkeypatch, **settings)
    assert is_compiled and all(is_compiled)
    for one, other in zip(apart, whole, strict=True):
        np.testing.assert_array_equal(one, other)


@of_tensorflow("graphs around compiled programs")
def test_a_training_step_of_ones_own_is_compiled_as_it_is(monkeypatch):
    from keras16.convert.twin import Twin

    def train_step(self, batch):
        return super(Twin, self).train_step(batch)

    monkeypatch.setattr(Twin, "train_step", train_step)
    _, is_compiled = fitted(monkeypatch, jit_compile=True)
    assert is_compiled and all(is_compiled)


@of_tensorflow("graphs around compiled programs")
def test_a_training_step_given_to_one_twin_is_the_one_that_trains(monkeypatch):
    traced = []

    def watched(step):
        return lambda batch: (traced.append(len(batch)), step(batch))[1]

    _, is_compiled = fitted(monkeypatch, watched, jit_compile=True)
    assert traced and is_compiled and all(is_compiled)
