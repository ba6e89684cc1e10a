"""Real training runs that tests share: each is trained once, in a fresh precision."""

from __future__ import annotations

import contextlib
import functools
import unittest.mock
from collections.abc import Iterator

import keras
import numpy as np

from keras16 import backend, precision, training
from keras16.backend import hooks
from keras16.study import Run

PRECISIONS = ("16", "32", "mixed", "bf16", "mixed_bf16")
# A net, a loss and a metric of a user's own, as a file.
OWN_PARTS = """
import keras

def build(input_shape, outputs):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Dense(outputs)])

def square(y, p):
    return keras.ops.max(keras.ops.square(y - p), axis=-1)

def worst(y, p):
    return keras.ops.max(keras.ops.abs(y - p), axis=-1)
"""


def start_over() -> None:
    """Forgets the precision in use, as a new process would."""
    precision._in_use = None
    hooks.remove()
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


@contextlib.contextmanager
def fresh() -> Iterator[None]:
    """A block that may choose any precision, whatever was used before it."""
    start_over()
    try:
        yield
    finally:
        start_over()


@functools.cache
def trained(compiled: bool = False, **fields) -> training.Result:
    """The result of a run without an audit.

    Args:
        compiled: Whether XLA compiles where it does for users.
        **fields: Of the run.
    """
    with fresh(), contextlib.nullcontext() if compiled else uncompiled():
        return training.fit(Run(**fields), audit=False)


@contextlib.contextmanager
def uncompiled() -> Iterator[None]:
    """A block without XLA: compiling takes longer than a short run itself."""
    with unittest.mock.patch.object(backend.module(), "compiles", lambda *_: False):
        yield


def prepared(**fields) -> training.Prepared:
    """A run that is ready to start; the precision stays in use."""
    start_over()
    return training.prepare(Run(**fields))


def weights(model: keras.Model) -> list[np.ndarray]:
    """The values of a model's variables, in float32 where they are floats."""
    values = map(keras.ops.convert_to_numpy, model.variables)
    return [
        v if np.issubdtype(v.dtype, np.integer) else v.astype("float32") for v in values
    ]


def few(**fields) -> dict:
    """A run of a second or two: one epoch of the dense net over 400 digits."""
    quick = {"model": "dnn", "validation": 0.9, "epochs": 1, "batch_size": 50}
    return quick | fields
