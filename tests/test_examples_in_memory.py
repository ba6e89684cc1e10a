"""The examples lie in memory once, beside a step that runs on them."""

import numpy as np
import pytest

from keras16 import backend, training
from keras16.study import Run
from tests.traced import of_tensorflow


@pytest.mark.parametrize("dtype", ["uint8", "float16", "bfloat16"])
def test_examples_on_the_device_are_an_array_in_the_same_memory(dtype):
    import ml_dtypes

    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    x = np.arange(24).reshape(4, 3, 2).astype(kind)
    tensor, array = backend.module().on_device(x)
    np.testing.assert_array_equal(array, x)
    assert array.dtype == x.dtype
    assert np.shares_memory(array, np.asarray(tensor))
    assert not np.shares_memory(array, x)


def test_no_examples_are_none():
    _, array = backend.module().on_device(np.zeros((0, 5), "uint8"))
    assert array.shape == (0, 5)


@of_tensorflow("its loop holds the tensor that it is given")
def test_a_resident_run_holds_its_examples_once():
    run = Run(model="dnn", dataset="mnist5k", precision="16")
    prepared = training.prepare(run).resident()
    loop = prepared.loop()
    assert loop.x is prepared.examples
    assert np.shares_memory(prepared.dataset.x_train, np.asarray(loop.x))
