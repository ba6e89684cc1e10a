"""No layer of the catalogue's nets falls to a kernel that is slow in 16 bits.

bfloat16 stands for float16 where that is not native: its steps are plain graphs, too,
and meet the same kernels of TensorFlow's and of oneDNN's.
"""

import pytest

from keras16 import backend, catalog, hardware
from tests import kernel_times
from tests.traced import of_tensorflow

MOST = 1.5  # times float32's
# Not reached yet, of bfloat16 alone: it has no kernel of relu6 that is fast, and XLA
# rounds after each operation of the others.
SLOWER = {"layer normalization": 2.0, "gelu": 2.0, "relu6": 2.2, "softmax": 4.5}
# One of each kind in the catalogue.
NETS = (
    *("dnn", "cnn", "resnet20", "alexnet", "vgg16", "densenet121"),
    *("xception", "mobilenetv2", "vit8"),
)
SHORTEST_MS = 0.2  # in float32: below it the calls themselves decide
TIMES_STOCK = 3  # measured: 8 and 16
TRIES = 5

pytestmark = of_tensorflow("kernels of plain graphs")


def plain_dtype():
    """The 16-bit format whose steps are plain graphs here; "" for none."""
    if not backend.module().compiles("float16", hardware.float16_kernels()):
        return "float16"
    return "bfloat16" if hardware.native_bfloat16() else ""


def best_ratio(measure, *arguments, enough):
    """The smallest of some ratios; no more are taken once one is small enough."""
    ratios = []
    for _ in range(TRIES):
        own, other = measure(*arguments)
        ratios.append(own / max(other, SHORTEST_MS))
        if ratios[-1] <= enough:
            break
    return min(ratios)


def classes_of(net):
    """The names of the classes of a net's layers, those in inner nets among them."""
    model = catalog.load("models", net)((32, 32, 3), 10)
    return {type(layer).__name__ for layer in model._flatten_layers(recursive=True)}


@pytest.mark.parametrize("net", NETS)
def test_every_layer_of_the_catalogue_is_timed(net):
    timed = {cls for cls, *_ in kernel_times.CASES.values()}
    unknown = (
        classes_of(net) - timed - kernel_times.MOVING - {"Functional", "Sequential"}
    )
    assert not unknown


@pytest.mark.parametrize("name", kernel_times.CASES)
def test_no_layer_is_much_slower_than_in_float32(name):
    dtype = plain_dtype()
    if not dtype:
        pytest.skip("neither float16 nor bfloat16 is native here")
    most = SLOWER.get(name, MOST) if dtype == "bfloat16" else MOST
    ratio = best_ratio(kernel_times.beside_float32, name, dtype, enough=most)
    assert ratio <= most, f"{name} takes {ratio:.2f} times as long as in float32"


@pytest.mark.parametrize("name", ["depthwise 3x3", "depthwise 3x3, strides 2"])
def test_compiled_depthwise_convolutions_are_several_times_as_fast_as_stock(name):
    enough = 1 / TIMES_STOCK
    ratio = best_ratio(kernel_times.beside_stock, name, "float16", enough=enough)
    assert ratio <= enough, f"{name} takes {ratio:.2f} of the time of Keras' own"
