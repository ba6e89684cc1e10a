"""The first-order estimate beside the true error, on nets of every family."""

import keras
import numpy as np
import pytest
from test_tolerance import images, net

from keras16 import catalog, convert, sweep
from keras16.tolerance import formats, nets
from keras16.tolerance.estimation import estimate

SHAPES = {"dnn": (28, 28, 1), "cnn": (28, 28, 1)}


def random_net(name, shape):
    """A net of the catalogue whose batch-norm statistics fit its inputs."""
    keras.utils.set_random_seed(0)
    model = catalog.load("models", name)(
        shape, 4
    )  # a pass of derivatives for each class
    draws = np.random.default_rng(0)
    x = draws.normal(size=(32, 1, 1, shape[2])) + draws.normal(size=(32, *shape))
    x = x.astype("float16").astype("float32")
    sweep._set_statistics(model, x)
    return model, x


ONE_OF_EACH_FAMILY = (
    "alexnet",
    "cnn",
    "densenet121",
    "dnn",
    "mobilenetv2",
    "resnet20",
    "vgg16",
    "vit8",
    "xception",
)


@pytest.mark.parametrize("name", ONE_OF_EACH_FAMILY)
def test_the_true_error_is_within_a_factor_of_five_in_the_median(name):
    model, x = random_net(name, SHAPES.get(name, (32, 32, 3)))
    found = estimate(model, x[:8])
    assert 1 / 5 < found.ratio < 5
    assert found.shares.sum() == pytest.approx(1)
    assert len(found.layers) == len(set(found.layers)) == len(found.shares)
    order = np.argsort(found.outputs, axis=1)[:, ::-1]
    true = np.take_along_axis(found.true, order, axis=1)
    lead = np.abs(true[:, 0] - true[:, 1])
    assert 1 / 5 < np.median(lead / found.margin) < 5


def test_a_linear_net_is_estimated_by_hand():
    """Two layers without biases: derivatives are the weights themselves."""
    layers = [keras.layers.Dense(n, use_bias=False) for n in (4, 3)]
    model = keras.Sequential([keras.Input((5,)), *layers])
    x = np.random.default_rng(0).normal(size=(6, 5)).astype("float16")
    first, second = (v.numpy().astype("float16") for v in model.weights)
    hidden = x.astype("float32") @ first.astype("float32")
    outputs = hidden @ second.astype("float32")
    to = formats.get("float16")
    inner = formats.spacing(hidden, to) ** 2 @ second.astype("float64") ** 2
    own = formats.spacing(outputs, to) ** 2
    found = estimate(model, x.astype("float32"))
    np.testing.assert_allclose(found.error, np.sqrt((inner + own) / 12), rtol=1e-5)
    share = (inner / (inner + own)).min(), (inner / (inner + own)).max()
    assert share[0] < found.shares[0] < share[1]


def test_the_true_error_is_that_of_the_16_bit_net():
    twin = convert(net(), "16")
    x = images(70).astype("float32")  # more than one batch
    found = estimate(twin, x)
    wide = convert(twin, "32")
    np.testing.assert_array_equal(
        found.true, nets.outputs(twin, x) - nets.outputs(wide, x)
    )
    assert found.error.shape == (70, 4)
    assert found.layers == tuple(
        layer.name
        for layer in twin.layers
        if not isinstance(layer, keras.layers.Flatten)
    )
    assert (found.error > 0).all() and (found.margin > 0).all()


def test_bfloat16_errs_as_its_own_numbers_are_apart():
    narrow, coarse = (estimate(convert(net(), to), images()) for to in ("16", "bf16"))
    assert np.median(coarse.error / narrow.error) == pytest.approx(8, rel=0.1)
    assert 1 / 5 < coarse.ratio < 5


def test_a_layer_that_does_not_reach_the_outputs_has_no_share():
    inputs = keras.Input((4,))
    used = keras.layers.Dense(3, name="used")(inputs)
    unused = keras.layers.Dense(3, name="unused")(inputs)
    model = keras.Model(inputs, keras.layers.Add()([used, 0 * unused]))
    found = estimate(model, np.ones((2, 4), "float32"))
    shares = dict(zip(found.layers, found.shares, strict=True))
    assert shares["unused"] == 0 < shares["used"]
