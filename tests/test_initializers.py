"""The initializers of our own: what they are, in every dtype; saved and loaded."""

import keras
import numpy as np
import pytest

import keras16
from keras16 import catalog, initializers
from keras16.audit import audit
from keras16.errors import UserError
from keras16.layers import views
from tests.close import assert_close, host
from tests.runs import prepared, start_over
from tests.traced import HAS_KERNELS

SHAPES = ((3, 3, 5, 5), (3, 3, 4, 9), (1, 3, 6, 2), (2, 2, 3, 7), (5, 2, 3))
DTYPES = ("float16", "bfloat16", "float32")


def dirac(shape, gain):
    """[*window, channels, kept] in float64, one number at a time."""
    *window, channels, filters = shape
    kernel = np.zeros((*window, channels, min(channels, filters)))
    middle = tuple((size - 1) // 2 for size in window)
    for channel in range(kernel.shape[-1]):
        kernel[(*middle, channel, channel)] = gain
    return kernel


def cosines(patch):
    """[*patch, numbers] in float64, by the definition; in no order."""
    places = np.indices(patch).reshape(len(patch), -1).T
    waves = np.ones((len(places), len(places)))
    for axis, size in enumerate(patch):
        phase = np.outer(2 * places[:, axis] + 1, places[:, axis])
        waves = waves * np.cos(np.pi * phase / (2 * size))
    waves /= np.linalg.norm(waves, axis=0)
    return waves.reshape(*patch, -1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_dirac_keeps_the_channels_and_draws_the_rest(shape, dtype):
    rest = keras.initializers.HeUniform(seed=3)
    kernel = initializers.Dirac(2.0, rest)(shape, dtype=dtype)
    assert tuple(kernel.shape) == shape
    assert keras.backend.standardize_dtype(kernel.dtype) == dtype
    kept = min(shape[-2:])
    assert_close(kernel[..., :kept], dirac(shape, 2.0), dtype)
    if kept < shape[-1]:
        again = keras.initializers.HeUniform(seed=3)
        drawn = again((*shape[:-1], shape[-1] - kept), dtype=dtype)
        np.testing.assert_array_equal(host(kernel[..., kept:]), host(drawn))


def test_a_convolution_by_dirac_is_the_identity():
    image = np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype("float32")
    for size in (3, 2, 1):
        layer = keras.layers.Conv2D(
            3, size, padding="same", kernel_initializer=initializers.Dirac()
        )
        np.testing.assert_array_equal(host(layer(image)), image)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("patch", [(2, 2, 3), (3, 3, 1), (4,)])
def test_cosine_basis_is_that_of_float64_and_its_negative(patch, dtype):
    numbers = int(np.prod(patch))
    kernel = initializers.CosineBasis()((*patch, 2 * numbers), dtype=dtype)
    assert keras.backend.standardize_dtype(kernel.dtype) == dtype
    found = host(kernel).astype("float64").reshape(numbers, -1)
    np.testing.assert_array_equal(found[:, numbers:], -found[:, :numbers])
    expected = cosines(patch).reshape(numbers, -1)
    order = np.argmax(np.abs(expected.T @ found[:, :numbers]), axis=0)
    assert sorted(order) == list(range(numbers))
    first = initializers.CosineBasis()((*patch, numbers), dtype=dtype)
    assert_close(first, expected[:, order].reshape(*patch, -1), dtype)
    frequencies = np.indices(patch).reshape(len(patch), -1).sum(axis=0)
    assert list(frequencies[order]) == sorted(frequencies)


def test_cosine_basis_makes_patches_uncorrelated():
    """Of neighbours that are alike, and colours that are: then it is exact."""
    neighbours = np.array([[1, 0.9], [0.9, 1]])
    colours = np.full((3, 3), 0.8) + 0.2 * np.eye(3)
    covariance = np.kron(np.kron(neighbours, neighbours), colours)
    basis = host(initializers.CosineBasis()((2, 2, 3, 12), "float32"))
    basis = basis.astype("float64").reshape(12, 12)
    found = basis.T @ covariance @ basis
    np.testing.assert_allclose(found, np.diag(np.diag(found)), atol=1e-6)
    assert found[0, 0] == found.max()


def test_more_filters_than_there_are_cosines_are_refused():
    with pytest.raises(UserError, match="24 cosine filters, signs included, not 25"):
        initializers.CosineBasis()((2, 2, 3, 25))


@pytest.mark.parametrize(
    "ours", [initializers.Dirac(4.0, "he_normal"), initializers.CosineBasis()]
)
def test_an_initializer_of_ours_is_serialized(ours):
    saved = keras.initializers.serialize(ours)
    again = initializers.get(saved)
    assert type(again) is type(ours)
    assert keras.initializers.serialize(again) == saved


# --- The net that begins with them


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A data set of random images, as a file."""
    path = tmp_path_factory.mktemp("images") / "images.npz"
    x = np.random.default_rng(0).integers(0, 256, (40, 14, 14, 3), dtype="uint8")
    y = np.arange(40) % 10
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    return str(path)


@pytest.mark.parametrize("name", ["16", "16-plain"])
def test_a_step_of_airbench_is_pure(images, name):
    """With the settings of the study cifar10_fast."""
    run = prepared(
        model="airbench",
        dataset=images,
        precision=name,
        batch_size=8,
        optimizer="sgd",
        nesterov=True,
        weight_decay=9e-3,
        schedule="triangular",
        augmentation="flip_shift2",
        label_smoothing=0.2,
    )
    report = audit(run.model, *run.batch, precision=name)
    assert report.pure, str(report)
    # By keras16's kernels fewer, as they are whole operations.
    assert report.tensors > (900 if HAS_KERNELS else 1000)


@pytest.mark.parametrize("name", ["16", "16-plain"])
def test_initial_weights_of_airbench_are_those_of_float32(name):
    kernels = {}
    for precision in ("32", name):
        start_over()
        keras16.use(precision)
        keras.utils.set_random_seed(0)
        net = catalog.load("models", "airbench")((10, 10, 3), 10)
        kernels[precision] = [host(v) for v in net.weights if v.name == "kernel"]
    assert len(kernels["32"]) == 8
    for found, expected in zip(kernels[name], kernels["32"], strict=True):
        np.testing.assert_array_equal(found, expected.astype("float16"))


def test_airbench_trains_all_but_its_first_kernel():
    net = catalog.load("models", "airbench")((32, 32, 3), 10)
    frozen = {v.path for v in net.non_trainable_variables if "moving" not in v.path}
    assert frozen == {"patches_conv/kernel"}
    assert net.get_layer("group3_second_conv").output.shape == (None, 3, 3, 256)


def test_airbench_answers_by_the_mean_over_six_views():
    """Those of NumPy; each as a net of one view would answer."""
    net = catalog.load("models", "airbench")((14, 13, 3), 10)
    images = np.random.default_rng(1).normal(size=(4, 14, 13, 3)).astype("float32")
    edged = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect")
    views = [images, edged[:, 2:, 2:], edged[:, :-2, :-2]]
    views = np.concatenate([*views, *(view[:, :, ::-1] for view in views)])
    np.testing.assert_array_equal(host(net.get_layer("views")(images)), views)
    inner = keras.Model(
        net.get_layer("patches_conv").input, net.get_layer("maximum").output
    )
    features = host(inner(views)).reshape(6, 4, -1).mean(axis=0)
    expected = features @ host(net.get_layer("logits").kernel) / 9
    np.testing.assert_allclose(host(net(images)), expected, rtol=1e-4, atol=1e-5)
    assert net(images, training=True).shape == (4, 10)
    alone = net.get_layer("views")(images, training=True)
    np.testing.assert_array_equal(host(alone), images)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_mean_of_views_is_that_of_float64(dtype):
    layer = views.MeanOfViews(dtype=dtype)
    drawn = np.random.default_rng(2).normal(size=(18, 5)).astype("float32")
    given = keras.ops.cast(drawn, dtype)
    exact = host(given).astype("float64").reshape(6, 3, 5)
    scale = np.abs(exact).mean(axis=0)
    assert_close(layer(given), exact.mean(axis=0), dtype, scale=scale)
    np.testing.assert_array_equal(host(layer(given, training=True)), host(given))
