"""Functions as the backend runs them in a training step.

On TensorFlow as a graph and under XLA; on JAX there is one way, which compiles.
"""

from __future__ import annotations

import functools

import keras
import pytest

from keras16 import backend

ON_JAX = keras.backend.backend() == "jax"
WAYS = {"jax": True} if ON_JAX else {"graph": False, "xla": True}

both = pytest.mark.parametrize("compiled", WAYS.values(), ids=list(WAYS))
formats = pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
constant = keras.ops.convert_to_tensor


def of_tensorflow(reason: str) -> pytest.MarkDecorator:
    """Marks a test that is about TensorFlow alone."""
    return pytest.mark.skipif(ON_JAX, reason=f"of TensorFlow: {reason}")


@functools.cache
def traced(function, compiled: bool):
    """The function of tensors, kept: compiling it is what takes time."""
    return with_signature(function, compiled)


def with_signature(function, compiled: bool, *signature: tuple):
    """The function, traced once for tensors of a (shape, dtype) each.

    An axis of length None is unknown when it is traced; on JAX none is.
    """
    if ON_JAX:
        from keras16.backend.jax_state import Compiled

        return Compiled(function)
    import tensorflow as tf

    specification = [tf.TensorSpec(*one) for one in signature] or None
    return tf.function(function, specification, autograph=False, jit_compile=compiled)


def value_and_gradients(function, weights=()):
    """A function of (upstream, *tensors): the value, the gradients of each of them."""
    return backend.module().with_gradients(function, weights)
