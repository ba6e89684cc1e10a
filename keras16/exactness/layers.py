"""Layers that normalize, softmax and activations: values and gradients."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np

from keras16 import backend, layers
from keras16.exactness._row import (
    Found,
    Row,
    found_worst,
    level_off,
    rms,
    share_off,
    units_off,
    wide,
    worst,
)

Arguments = dict[str, Any]
# A layer, its arguments, the shape of its inputs, and their magnitudes.
LAYERS: dict[str, tuple[Arguments, tuple[int, ...], tuple[float, ...]]] = {
    "BatchNormalization": ({}, (8192, 4), (1e-4, 1.0, 300.0, 1.5e4)),
    "LayerNormalization": ({}, (64, 64), (1e-4, 1.0, 300.0, 1.5e4)),
    "GroupNormalization": ({"groups": 4}, (4, 5, 5, 16), (1e-4, 1.0, 300.0, 1.5e4)),
    "RMSNormalization": ({}, (64, 64), (1e-4, 1.0, 300.0, 1.5e4)),
    "UnitNormalization": ({}, (64, 64), (1e-4, 1.0, 300.0, 1.5e4)),
    "Softmax": ({}, (64, 10), (1e-3, 3.0, 300.0)),
    "GlobalAveragePooling1D": ({}, (2, 70_000, 3), (1e-4, 1.0, 1.5e4)),
}
ACTIVATIONS = (
    "sigmoid",
    "tanh",
    "softplus",
    "silu",
    "elu",
    "selu",
    "softsign",
    "mish",
    "gelu",
)
MOMENTA = (0.9, 0.99, 0.999)
STEPS = 300


def steps(name: str, library: Any, dtype: str, compiled: bool) -> Any:
    """A function of (upstream, inputs) that gives the value and all gradients."""
    arguments, shape, _ = LAYERS[name]
    layer = getattr(library, name)(dtype=dtype, **arguments)
    layer.build(shape)
    random = np.random.default_rng(1)
    for weight in layer.trainable_variables:
        drawn = random.normal(0.5, 0.5, weight.shape).astype("float16")
        weight.assign(drawn.astype(dtype))

    def call(x: Any) -> Any:
        if layer._call_has_training_arg:
            return layer(x, training=True)
        return layer(x)

    traced = backend.module().with_gradients(call, layer.trainable_variables)
    return backend.module().Function(traced, compiled)


def layer_error(name: str, library: Any, compiled: bool) -> Found:
    """The worst error over the magnitudes of a layer, against Keras in float64."""
    _, shape, magnitudes = LAYERS[name]
    function = steps(name, library, "float16", compiled)
    exact_function = steps(name, keras.layers, "float64", False)
    random = np.random.default_rng(0)
    upstream_shape = (shape[0], shape[-1]) if "Pooling" in name else shape
    upstream = random.normal(0.5, 1, upstream_shape).astype("float16")
    errors = []
    for magnitude in magnitudes:
        x = (random.normal(0.5, 1, shape) * magnitude).clip(-6e4, 6e4).astype("float16")
        exact = exact_function(wide(upstream), wide(x))
        floor = max(rms(each) for each in exact)
        found = function(upstream, x)
        pairs = zip(found, exact, strict=True)
        errors += [level_off(one, other, floor) for one, other in pairs]
    return found_worst(errors, function)


def activation_error(library_of: Any, compiled: bool) -> Found:
    """Values and slopes of all activations, against Keras in float64."""
    far = np.geomspace(1e-6, 6e4, 500)
    x = np.concatenate([np.linspace(-20, 20, 4001), far, -far]).astype("float16")
    found, wide_found = _activations(library_of, x, compiled)
    exact, _ = _activations(lambda function: function, wide(x), False)
    errors = []
    for one, other in zip(found, exact, strict=True):
        # Units of the number, or of 1/16 where it is smaller: slopes cross 0.
        within = np.abs(other) < 65504
        scale = np.maximum(np.abs(other), 1 / 16)
        off = np.where(within, np.abs(wide(one) - other), 0.0) / scale * 2.0**11
        errors.append(worst(off))
    return Found(worst(errors), wide_found)


def _activations(
    library_of: Any, x: np.ndarray, compiled: bool
) -> tuple[list[np.ndarray], int]:
    functions = [library_of(getattr(keras.activations, name)) for name in ACTIVATIONS]
    results, wide_found = [], 0
    for function in functions:
        with_gradients = backend.module().with_gradients(function)
        traced = backend.module().Function(with_gradients, compiled)
        results += traced(np.ones_like(x), x)
        wide_found += traced.wide
    return results, wide_found


def moving_error(momentum: float, library: Any, compiled: bool) -> Found:
    """Moving mean and deviation after some hundred steps on one batch, in ulp.

    Columns of deviation 1e-4 to 3e4, so that both come from far away.
    """
    random = np.random.default_rng(0)
    scale = np.array([1e-4, 1e-2, 1.0, 37.0, 3e3, 2e4])
    x = (random.normal(0.5, 1, (257, 6)) * scale).clip(-6e4, 6e4).astype("float16")
    layer = library.BatchNormalization(momentum=momentum, dtype="float16")
    layer.build(x.shape)
    function = backend.module().Function(lambda x: layer(x, training=True), compiled)
    for _ in range(STEPS):
        function(x)
    kept = momentum**STEPS
    mean = (1 - kept) * wide(x).mean(axis=0)
    deviation = np.sqrt(kept + (1 - kept) * wide(x).var(axis=0))
    size = np.abs(wide(x)).mean(axis=0)
    errors = (
        units_off(layer.moving_mean.numpy(), mean, size),
        units_off(_deviation(layer), deviation),
    )
    return found_worst(errors, function)


def _deviation(layer: Any) -> np.ndarray:
    """The moving deviation of our layer, or the root of Keras' moving variance."""
    if hasattr(layer, "moving_deviation"):
        return layer.moving_deviation.numpy()
    return np.sqrt(layer.moving_variance.numpy())


def embedding_error(library: Any, compiled: bool) -> Found:
    """The gradient of a table of which one row is looked up 10,000 times."""
    layer = library.Embedding(5, 3, dtype="float16")
    layer.build(None)
    ids = np.zeros((100, 100), "int32")
    ids[0] = np.arange(100) % 5
    traced = backend.module().with_gradients(layer, layer.trainable_variables)
    function = backend.module().Function(traced, compiled)
    gradient = function(np.ones((100, 100, 3), "float16"), ids)[1]
    exact = np.bincount(ids.ravel(), minlength=5)[:, None] * np.ones(3)
    return Found(share_off(gradient, exact), function.wide)


def _sixteen_bit(function: Any) -> Any:
    from keras16.layers import _activations as ours

    return ours.sixteen_bit(function)


def _row(name: str) -> Row:
    _, shape, magnitudes = LAYERS[name]
    sizes = ", ".join(f"{magnitude:g}" for magnitude in magnitudes)
    return Row(
        name,
        f"normal numbers of magnitude {sizes}; {' x '.join(map(str, shape))}",
        "2**-11 of the larger of number and rms",
        10,
        functools.partial(layer_error, name, layers),
        functools.partial(layer_error, name, keras.layers),
        "test_layer_numerics.py",
    )


ROWS = (
    *(_row(name) for name in LAYERS),
    *(
        Row(
            f"moving statistics at {momentum}",
            f"{STEPS} steps, columns of deviation 1e-4 to 2e4",
            "ulp",
            3,
            functools.partial(moving_error, momentum, layers),
            functools.partial(moving_error, momentum, keras.layers),
            "test_layers.py",
        )
        for momentum in MOMENTA
    ),
    Row(
        "activations",
        f"{', '.join(ACTIVATIONS)}: value and slope from -6e4 to 6e4",
        "2**-11 of the larger of number and 1/16",
        16,
        functools.partial(activation_error, _sixteen_bit),
        functools.partial(activation_error, lambda function: function),
        "test_layer_numerics.py",
    ),
    Row(
        "Embedding's gradient",
        "one row looked up 9,920 times",
        "share of it",
        2.0**-11,
        functools.partial(embedding_error, layers),
        functools.partial(embedding_error, keras.layers),
        "test_layer_numerics.py",
    ),
)
