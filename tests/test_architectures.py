"""The nets of the paper's CIFAR-10 table: their sizes, their parts, their purity."""

import pathlib

import keras
import numpy as np
import pytest

from keras16 import architectures, assembly, catalog, precision
from keras16.audit import audit
from tests.close import assert_close
from tests.runs import prepared, start_over
from tests.traced import HAS_KERNELS

PAGE = pathlib.Path(__file__).parent.parent / "docs/architectures.md"


@pytest.fixture(scope="module")
def table():
    return architectures.markdown()


def count(table, name):
    """What a row of the table says."""
    (line,) = (line for line in table.splitlines() if line.startswith(f"| `{name}`"))
    return int(line.split("|")[2].replace(",", ""))


@pytest.mark.parametrize("row", architectures.ROWS, ids=lambda row: row.name)
def test_a_net_is_as_large_as_the_paper_says_or_says_why_not(row, table):
    """Two printed numbers can't be those of the nets.

    AlexNet's 2.09 million are a tenth of the 20,972,394 of the released net, cut off
    after two digits. ResNet-110's 1.78 count a layer behind its logits: He et al. say
    1.7, as 6n + 2 layers of these widths have it.
    """
    near = abs(architectures.deviation(count(table, row.name), row)) <= 0.02
    assert near != bool(row.slip)
    assert bool(row.slip) == (row.name in ("alexnet", "resnet110"))


def test_the_slips_are_what_the_table_says(table):
    assert count(table, "alexnet") // 100_000 == 209
    tacked_on = 10 * 4096 + 4096
    assert (1_740_106 + tacked_on) // 10_000 == 178
    assert count(table, "resnet110") == pytest.approx(1_740_106, rel=0.001)


def test_the_page_is_up_to_date(table):
    assert table in PAGE.read_text(), "run: python -m keras16.architectures"


# --- What the nets are made of


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A data set of random images, as a file."""
    path = tmp_path_factory.mktemp("images") / "images.npz"
    draw = np.random.default_rng(0)
    x = draw.integers(0, 256, (40, 32, 32, 3), dtype="uint8")
    y = np.arange(40) % 10
    np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y)
    return str(path)


@pytest.mark.parametrize(
    ("model", "name", "momentum"),
    [
        ("alexnet", "16", 0.9),
        ("vgg16", "16-plain", 0.9),
        ("vit1", "16", 0.0),
        ("vit1", "16-plain", 0.0),
    ],
)
def test_a_step_is_pure(images, model, name, momentum):
    """With the optimizer of the paper. docs/architectures.md has the deep nets."""
    fields = {"optimizer": "sgd", "momentum": momentum, "batch_size": 4}
    run = prepared(model=model, dataset=images, precision=name, **fields)
    report = audit(run.model, *run.batch, precision=name)
    assert report.pure, str(report)
    # By keras16's kernels fewer, as they are whole operations.
    assert report.tensors > (350 if HAS_KERNELS else 500)


class Shape:
    """All that `assembly.core` wants of a data set."""

    name, input_shape, classes = "images", (32, 32, 3), 10


class Digits(Shape):
    """Smaller than some nets take."""

    input_shape = (28, 28, 1)


def core(model, name, shape=Shape):
    """A net of its own parts at a precision, and its weights by path."""
    start_over()
    precision.use(name)
    keras.utils.set_random_seed(0)
    net = assembly.core(model, shape)
    weights = {v.path: keras.ops.convert_to_numpy(v) for v in net.variables}
    return net, weights


@pytest.mark.parametrize("model", ["mobilenetv2", "vit1"])
def test_initial_weights_are_those_of_float32(model):
    """For every precision; attention has several kernels of one name."""
    _, expected = core(model, "32")
    drawn = [path for path in expected if path.endswith(("kernel", "bias"))]
    assert len(drawn) >= 16
    for name in ("16", "16-plain"):
        _, found = core(model, name)
        for path in drawn:
            assert found[path].dtype == "float16"
            np.testing.assert_array_equal(
                found[path], expected[path].astype("float16"), err_msg=path
            )


@pytest.mark.parametrize(
    ("name", "kind"),
    [("16", "BatchNormalization"), ("16-plain", "PlainBatchNormalization")],
)
def test_nets_of_keras_get_our_layers(name, kind):
    net, _ = core("mobilenetv2", name)
    kinds = {type(layer).__name__ for layer in net.layers if "BN" in layer.name}
    assert kinds == {kind}
    assert all(
        type(layer).__module__.startswith("keras16")
        for layer in net.layers
        if layer.variables
    )


def test_plain_parts_are_those_of_a_net_inside_another_too():
    """An enlarged one: its batch normalizations are a level deeper."""
    net, found = core("applications.MobileNetV2", "16-plain", Digits)
    (inner,) = (layer for layer in net.layers if isinstance(layer, keras.Model))
    kinds = {type(layer).__name__ for layer in inner.layers if "BN" in layer.name}
    assert kinds == {"PlainBatchNormalization"}
    _, expected = core("applications.MobileNetV2", "32", Digits)
    drawn = [path for path in expected if path.endswith("kernel")]
    assert len(drawn) > 40
    for path in drawn:
        np.testing.assert_array_equal(found[path], expected[path].astype("float16"))


def test_patches_are_pieces_of_the_image():
    image = np.random.default_rng(1).normal(size=(2, 14, 19, 3)).astype("float32")
    net = catalog.load("models", "vit1")(image.shape[1:], 10)
    found = keras.Model(net.input, net.get_layer("patches").output)(image)
    pieces = [
        image[:, row : row + 6, column : column + 6].reshape(2, -1)
        for row in (0, 6)
        for column in (0, 6, 12)
    ]
    assert_close(found, np.stack(pieces, axis=1), "float32")


def test_a_place_of_each_patch_is_learned():
    net = catalog.load("models", "vit1")((32, 32, 3), 10)
    embedding = net.get_layer("embedding")
    assert embedding.bias.shape == (25, 64)
    places = keras.ops.convert_to_numpy(embedding.bias)
    assert 0.04 < np.abs(places).max() <= 0.05
