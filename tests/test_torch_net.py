"""The nets of the benchmark in PyTorch give what Keras gives."""

import json

import keras
import numpy as np
import pytest
import runs
from keras import layers

torch = pytest.importorskip("torch")

from keras16.benchmark import architecture, meter, plan, torch_net  # noqa: E402
from keras16.errors import UserError  # noqa: E402
from keras16.study import Run  # noqa: E402


def randomized(model):
    """Weights that no layer starts with, so that none can be forgotten."""
    draw = np.random.default_rng(0)
    for variable in model.weights:
        if "float" in str(variable.dtype):
            low = 0.5 if "variance" in variable.name else -0.5
            variable.assign(draw.uniform(low, 1.0, variable.shape))
    return model


def outputs(model, x, training=False):
    """The net's outputs in Keras and in PyTorch for [batch, ...] in Keras' order."""
    found, weights = architecture.calls(model)
    expected = keras.ops.convert_to_numpy(model(x, training=training))
    net = torch_net.Net(json.loads(json.dumps(found)), weights).train(training)
    given = torch.from_numpy(x)
    given = given.permute(0, 3, 1, 2) if given.ndim == 4 else given
    result = net(given).detach().numpy()
    return expected, result.transpose(0, 2, 3, 1) if result.ndim == 4 else result


def images(*shape):
    return np.random.default_rng(1).normal(size=shape).astype("float32")


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(5, 3, padding="same", activation="relu"),
        layers.Conv2D(5, 3, strides=2, padding="same", use_bias=False),
        layers.Conv2D(6, 2, strides=2, groups=2),
        layers.Conv2D(4, 3, padding="same", dilation_rate=2),
        layers.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2),
        layers.SeparableConv2D(5, 3, padding="same", activation="gelu"),
        layers.SeparableConv2D(5, 3, strides=2, depth_multiplier=2),
        layers.BatchNormalization(epsilon=1e-2, momentum=0.9),
        layers.BatchNormalization(scale=False, center=False),
        layers.MaxPooling2D(3, strides=2, padding="same"),
        layers.MaxPooling2D(2),
        layers.AveragePooling2D(3, strides=2, padding="same"),
        layers.AveragePooling2D(3, strides=1, padding="same"),
        layers.GlobalAveragePooling2D(),
        layers.GlobalAveragePooling2D(keepdims=True),
        layers.GlobalMaxPooling2D(),
        layers.ReLU(6.0),
        layers.ReLU(negative_slope=0.1),
        layers.LeakyReLU(0.2),
        layers.ELU(),
        layers.Activation("hard_silu"),
        layers.Rescaling([1.0, 2.0, 3.0, 4.0], [0.5, 0.0, 1.0, -1.0]),
        layers.ZeroPadding2D(((1, 2), (0, 1))),
        layers.UpSampling2D(2),
    ],
    ids=lambda layer: layer.name,
)
@pytest.mark.parametrize("side", [7, 8])
def test_a_layer_gives_what_keras_gives(layer, side):
    copy = type(layer).from_config(layer.get_config())
    model = randomized(keras.Sequential([keras.Input((side, side, 4)), copy]))
    np.testing.assert_allclose(*outputs(model, images(3, side, side, 4)), atol=1e-4)


@pytest.mark.parametrize("activation", torch_net.ACTIVATIONS)
def test_an_activation_gives_what_keras_gives(activation):
    model = keras.Sequential([keras.Input((6,)), layers.Activation(activation)])
    np.testing.assert_allclose(*outputs(model, 3 * images(4, 6)), atol=1e-5)


def test_flattened_images_meet_the_right_weights():
    model = randomized(
        keras.Sequential(
            [
                keras.Input((4, 5, 3)),
                layers.Flatten(),
                layers.Dropout(0.5),
                layers.BatchNormalization(),
                layers.Dense(7, activation="tanh"),
                layers.Dense(2, use_bias=False),
            ]
        )
    )
    np.testing.assert_allclose(*outputs(model, images(6, 4, 5, 3)), atol=1e-4)


def test_branches_nested_models_and_shared_layers():
    inputs = keras.Input((8, 8, 4))
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    inner_inputs = keras.Input((8, 8, 4))
    inner = keras.Model(inner_inputs, layers.Add()([shared(inner_inputs)] * 2))
    x = layers.Concatenate()([shared(inputs), inner(inputs)])
    squeezed = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
    gate = layers.Conv2D(8, 1, activation="sigmoid")(squeezed)
    x = layers.Multiply()([x, gate])
    model = randomized(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x))))
    np.testing.assert_allclose(*outputs(model, images(2, 8, 8, 4)), atol=1e-4)
    found, weights = architecture.calls(model)
    net = torch_net.Net(found, weights)
    assert sum(p.numel() for p in net.parameters()) == model.count_params()


@pytest.mark.parametrize("name", ["dnn", "cnn", "resnet8", "applications.MobileNetV2"])
def test_a_net_of_the_catalogue_gives_what_keras_gives(name, tmp_path):
    case = written(name, tmp_path)
    model = randomized(architecture.loaded(case.folder, "float32", "float32"))
    for variable in model.weights:  # so that a deep net's outputs stay of about 1
        if variable.name in ("kernel", "depthwise_kernel"):
            deviation = np.prod(variable.shape[:-1]) ** -0.5
            variable.assign(deviation * images(*variable.shape))
    x = np.random.default_rng(2).integers(0, 256, (4, 32, 32, 3), np.uint8)
    for training in (False, True):
        if training and "applications" in name:
            continue  # dropout
        expected, result = outputs(model, x, training)
        scale = np.abs(expected).max()
        assert scale > 1e-3
        np.testing.assert_allclose(result / scale, expected / scale, atol=1e-4)


def written(name, folder, optimizer="sgd"):
    data = str(folder / "data.npz")
    x = np.random.default_rng(3).integers(0, 256, (8, 32, 32, 3), np.uint8)
    y = np.arange(8, dtype=np.int32) % 2
    np.savez(data, x_train=x, y_train=y, x_test=x, y_test=y)
    run = Run(
        model=name,
        dataset=data,
        optimizer=optimizer,
        momentum=0.9 if optimizer == "sgd" else None,
        schedule="constant",
        batch_size=4,
        validation=0.0,
    )
    with runs.fresh():
        architecture.write(run, folder)
    return plan.Case(run, folder)


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        (layers.LayerNormalization(), "LayerNormalization has no translation"),
        (layers.Activation("log_softmax"), "log_softmax has no translation"),
        (layers.Dense(3), "Dense on more than one axis"),
        (layers.UpSampling2D(2, interpolation="bilinear"), "interpolated"),
        (layers.BatchNormalization(axis=1), "another axis"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_layer_without_a_translation_is_named(layer, told):
    model = keras.Sequential([keras.Input((8, 8, 4)), layer])
    found, weights = architecture.calls(model)
    with pytest.raises(UserError, match=told) as refused:
        torch_net.Net(found, weights)
    assert layer.name in str(refused.value)


class Meter:
    """Lets so many steps be done that a scaler has found its scale."""

    def __init__(self):
        self.steps = 0

    def begin(self):
        assert self.steps == 0

    def stepped(self, steps, settle):
        settle()
        self.steps += steps
        if self.steps == 25:
            raise meter.Finished


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("mode", ["torch-32", "torch-bf16", "torch-fp16", "torch-half"])
def test_every_mode_trains_and_knows_its_state(mode, optimizer, tmp_path):
    from keras16.benchmark import torch_steps

    case = written("cnn", tmp_path, optimizer)
    sizes = {}
    for name in (mode, f"{mode}-last"):
        trainer = torch_steps.Trainer(plan.CONTENDERS[name], case)
        before = trainer.net.layers[-1].bias.detach().clone()
        with pytest.raises(meter.Finished):
            trainer.train(Meter())
        after = trainer.net.layers[-1].bias.detach()
        assert torch.isfinite(after).all() and (after != before).any()
        sizes[name] = trainer.state()
    item = 2 if "half" in mode else 4
    parameters = sum(p.numel() for p in trainer.net.parameters())
    assert sizes[mode]["gradients"] == item * parameters
    slots = 1 if optimizer == "sgd" else 2
    assert sizes[mode]["slots"] == pytest.approx(slots * item * parameters, rel=1e-2)
    assert sizes[mode] == sizes[f"{mode}-last"]
