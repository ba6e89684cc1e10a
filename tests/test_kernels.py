"""No step of the catalogue's nets falls to a kernel that is for reference only."""

import os
import subprocess
import sys

import numpy as np
import pytest

from keras16 import backend, hardware
from tests.traced import HAS_KERNELS, of_tensorflow

STEPS = """
import sys
from keras16 import training
from keras16.study import Run
model, precision, dataset = sys.argv[1:]
run = Run(model=model, precision=precision, batch_size=8, dataset=dataset)
prepared = training.prepare(run)
prepared.loop().train(*prepared.order(1, steps=2))
"""
# Layers of every kind that the catalogue has, and one more net of keras.applications
# with depthwise convolutions.
NETS = (
    *("dnn", "cnn", "resnet20", "alexnet", "densenet121", "mobilenetv2", "xception"),
    *("vit8", "applications.EfficientNetB0"),
)
STOCK = """
import tensorflow as tf

@tf.function
def layer(x, weights, bias):
    return tf.nn.relu(tf.nn.bias_add(tf.matmul(x, weights), bias))

kind = "float16"
layer(tf.ones((64, 128), kind), tf.ones((128, 64), kind), tf.ones((64,), kind))
"""


def kernels(program, *arguments):
    """What oneDNN ran, as (primitive, implementation)."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "ONEDNN_VERBOSE": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = (line.split(",") for line in done.stdout.splitlines() if ",exec," in line)
    fields = [line[line.index("exec") :] for line in lines]
    return [(field[2], field[3]) for field in fields]


def of_reference(found):
    """Those that oneDNN has for reference: a thousand times slower than its others."""
    return [one for one in found if one[1].startswith("ref")]


@pytest.fixture
def images(tmp_path):
    """A file of a few random images of 32 x 32."""
    draw = np.random.default_rng(0)
    x = draw.integers(0, 256, (40, 32, 32, 3), np.uint8)
    y = np.arange(40) % 10
    np.savez(
        tmp_path / "images.npz", x_train=x, y_train=y, x_test=x[:10], y_test=y[:10]
    )
    return str(tmp_path / "images.npz")


@of_tensorflow("oneDNN's log")
@pytest.mark.parametrize(
    ("model", "precision"),
    [*((net, "16") for net in NETS), ("dnn", "32"), ("cnn", "32")],
)
def test_no_kernel_of_reference(model, precision, images):
    policy = {"16": "float16", "32": "float32"}[precision]
    if backend.module().compiles(policy, hardware.float16_kernels()):
        pytest.skip("XLA compiles the step of this precision here: oneDNN has no part")
    found = kernels(STEPS, model, precision, images)
    # Where float16 has kernels of our own it may have no other.
    assert found or (policy == "float16" and HAS_KERNELS)
    assert not of_reference(found)


@of_tensorflow("the remapper")
def test_stock_keras_falls_to_one_where_float16_is_native():
    if not hardware.native_float16() or backend.module().has_gpu():
        pytest.skip("without float16 arithmetic oneDNN takes no part in float16")
    assert of_reference(kernels(STOCK))
