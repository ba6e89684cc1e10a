"""Functions as TensorFlow runs them in a training step: as a graph and under XLA."""

from __future__ import annotations

import functools

import pytest
import tensorflow as tf

both = pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
formats = pytest.mark.parametrize("dtype", ["float16", "bfloat16"])


@functools.cache
def traced(function, compiled: bool):
    """The function of tensors, kept: compiling it is what takes time."""
    return tf.function(function, autograph=False, jit_compile=compiled)


def vector(dtype: str) -> tf.TensorSpec:
    """A vector whose length is unknown when the function is traced."""
    return tf.TensorSpec([None], dtype)
