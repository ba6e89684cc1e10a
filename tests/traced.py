"""Functions as the backend runs them in a training step.

On TensorFlow as a graph and under XLA; on JAX there is one way, which compiles.
"""

from __future__ import annotations

import contextlib
import functools

import keras
import numpy as np
import pytest

from keras16 import backend
from tests.close import wide

ON_JAX = keras.backend.backend() == "jax"
WAYS = {"jax": True} if ON_JAX else {"graph": False, "xla": True}

both = pytest.mark.parametrize("compiled", WAYS.values(), ids=list(WAYS))
formats = pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
constant = keras.ops.convert_to_tensor


HAS_KERNELS = not ON_JAX and backend.module().described()["own_kernels"]
needs_kernels = pytest.mark.skipif(
    not HAS_KERNELS, reason="no compiled kernels, or no AVX2 in this CPU"
)


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


def run(
    function, *arrays, weights=(), compiled: bool = False, upstream=None
) -> list[np.ndarray]:
    """[value, gradients of the arrays, gradients of the weights], in float64.

    Args:
        function: Of tensors, to one tensor.
        arrays: What it is called with; those of floats get a gradient.
        weights: Variables that get one, too.
        compiled: Whether XLA compiles it, on TensorFlow.
        upstream: The gradient of the value; ones where left out.
    """
    step = with_signature(value_and_gradients(function, weights), compiled)
    given = None if upstream is None else constant(upstream)
    results = step(given, *map(constant, arrays))
    return [wide(dense(result)) for result in results]


def dense(gradient):
    """A gradient as a tensor: TensorFlow has those of tables as some of their rows."""
    if ON_JAX:
        return gradient
    import tensorflow as tf

    return tf.convert_to_tensor(gradient)


def computed_in(dtype: str) -> contextlib.AbstractContextManager:
    """Where tensors of that dtype may be made: JAX rounds float64 unless told."""
    if dtype != "float64":
        return contextlib.nullcontext()
    return backend.module().computing_float64()


def wide_tensors(step, *arrays) -> int:
    """How many tensors of a traced step are floats wider than 16 bits.

    Args:
        step: What `with_signature` gave, with a signature on TensorFlow.
        arrays: What it is called with.
    """
    if ON_JAX:
        from keras16.backend import jax_graph

        tensors = [None if a is None else constant(a) for a in arrays]
        return jax_graph.wide_tensors(step.lowered(*tensors))
    from keras16.backend import tensorflow_graph

    return tensorflow_graph.wide_tensors(step.get_concrete_function())
