"""A layer in 16 bits beside Keras' own in float64: values and gradients."""

from __future__ import annotations

import keras
import numpy as np

from keras16.backend import orthogonal
from tests.traced import ON_JAX, computed_in, constant, run

if ON_JAX:  # no recurrent layer of Keras' own can be made in 16 bits there before
    orthogonal.draw_in_float32()

# Half the distance between two numbers of float16 about 1, the unit of all errors.
UNIT = 2.0**-11
NOTHING = 1e-9  # what is 0 by symmetry comes to less
# JAX's one function for all of attention has a softmax of float32; who asks for the
# scores gets them in the layer's own dtype.
FUSED = (keras.layers.MultiHeadAttention, keras.layers.GroupQueryAttention)
SUBNORMAL = 2.0**-25  # half the smallest number: what rounding alone may cost


def error(got, exact, floor=0.0):
    """The largest error, in units of the larger of the number and the tensor's rms.

    Args:
        got: Array.
        exact: Array of the same shape.
        floor: What an rms of next to nothing counts as: some gradients are 0 by
            symmetry, and rounding is as large as others'.
    """
    got, exact = np.asarray(got, "float64"), np.asarray(exact, "float64")
    if not exact.size:
        return 0.0
    assert got.shape == exact.shape
    assert np.isfinite(got).all(), "not finite"
    level = rms(exact)
    scale = np.maximum(np.abs(exact), level if level > NOTHING else floor)
    excess = np.maximum(np.abs(got - exact) - SUBNORMAL, 0)
    return float(np.max(excess / np.maximum(scale, 1e-300))) / UNIT


def rms(x):
    return float(np.sqrt(np.mean(np.square(x)))) if np.size(x) else 0.0


def inputs_of(case, rng, batch=4, magnitude=1.0, offset=0.0):
    """Float16 inputs of a case, as float16 arrays or whole numbers."""
    drawn = []
    for shape in case.shapes:
        if case.integers:
            drawn.append(rng.integers(0, case.integers, (batch, *shape), "int32"))
        else:
            x = rng.normal(size=(batch, *shape)) * magnitude + offset
            drawn.append(x.astype("float16"))
    return drawn


def call(layer, case, tensors, training):
    arguments = (list(tensors),) if case.together else tuple(tensors)
    if layer.compute_dtype == "float64" and isinstance(layer, FUSED):
        return layer(*arguments, training=training, return_attention_scores=True)[0]
    if layer._call_has_training_arg:
        return layer(*arguments, training=training)
    return layer(*arguments)


def value_and_gradients(layer, case, arrays, upstream, *, compiled, training=True):
    """[value, gradients of the inputs, gradients of the weights] as float64 arrays."""
    dtype = keras.backend.standardize_dtype(layer.compute_dtype)
    return run(
        lambda *tensors: call(layer, case, tensors, training),
        *typed(arrays, dtype),
        weights=layer.trainable_variables,
        compiled=compiled,
        upstream=np.asarray(upstream, dtype),
    )


def typed(arrays, dtype):
    """Tensors of a case: floats in a dtype, whole numbers as they are."""
    return [constant(a if a.dtype == "int32" else a.astype(dtype)) for a in arrays]


def twins(ours, stock, case, rng, wide="float64"):
    """Our float16 layer and Keras' float64 one, of the same weights."""
    sixteen, exact = case.build(ours, "float16"), case.build(stock, wide)
    arrays = inputs_of(case, rng)
    for layer, dtype in ((sixteen, "float16"), (exact, wide)):
        with computed_in(dtype):
            call(layer, case, typed(arrays, dtype), False)
    for own, other in zip(
        sixteen.trainable_variables, exact.trainable_variables, strict=True
    ):
        drawn = (rng.normal(size=own.shape) * 0.5 + 0.5).astype("float16")
        own.assign(drawn)
        with computed_in(wide):
            other.assign(drawn.astype(wide))
    return sixteen, exact


def errors(
    ours, stock, case, *, compiled, training=True, wide="float64", slope=1.0, **draws
):
    """The error of the value and of each gradient.

    Args:
        compiled: Whether XLA compiles our step.
        training: The argument of that name.
        wide: The dtype of the twin; "float32" where TensorFlow has no other kernel.
        slope: Magnitude of the incoming gradient.
        draws: Arguments of `inputs_of`.
    """
    rng = np.random.default_rng(0)
    sixteen, exact = twins(ours, stock, case, rng, wide)
    arrays = inputs_of(case, rng, **draws)
    with computed_in(wide):
        shape = call(exact, case, typed(arrays, wide), False).shape
    upstream = (rng.normal(size=shape) * slope).astype("float16")
    options = {"training": training}
    got = value_and_gradients(
        sixteen, case, arrays, upstream, compiled=compiled, **options
    )
    with computed_in(wide):
        want = value_and_gradients(
            exact, case, arrays, upstream, compiled=False, **options
        )
    floor = max(rms(w) for w in want)
    return [error(g, w, floor) for g, w in zip(got, want, strict=True)]
