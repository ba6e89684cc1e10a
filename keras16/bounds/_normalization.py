"""Normalization: by known statistics it is linear, by its own it bends."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from keras16.bounds._activations import scaled
from keras16.bounds._record import values
from keras16.bounds._step import Array, Step, combined, distance
from keras16.numerics import averages


def step(layer: Any, x: Array, error: Array, y: Array) -> Step | None:
    """The step of a normalization at inference; None of one that isn't known.

    Args:
        layer: Of Keras or keras16.
        x: [n, ...] float64, what it was given.
        error: The bound on that.
        y: What it gave.
    """
    if isinstance(layer, layers.BatchNormalization):
        return _batch(layer, x, error, y)
    if isinstance(layer, layers.LayerNormalization):
        return _layer(layer, x, error, y)
    if isinstance(layer, layers.Rescaling):
        slope, offset = (np.asarray(v, "float64") for v in (layer.scale, layer.offset))
        return scaled(x, error, y, slope, offset)
    if isinstance(layer, layers.Normalization):
        return _known(layer, x, error, y)
    return None


def _known(layer: Any, x: Array, error: Array, y: Array) -> Step | None:
    if not hasattr(layer, "_statistics") or layer.invert:
        return None
    mean, residual, deviation = (values(one) for one in layer._statistics())
    deviation = np.maximum(deviation, keras.config.epsilon())
    return scaled(x, error, y, 1 / deviation, -(mean + residual) / deviation)


def _batch(layer: Any, x: Array, error: Array, y: Array) -> Step:
    """What the layer's weights stand for, its integer fractions among them."""
    shape = [1] * x.ndim
    shape[layer.axis] = -1
    mean, deviation = values(layer.moving_mean), _deviation(layer)
    if hasattr(layer, "moving_mean_fraction"):
        kept = np.asarray(layer.moving_mean), np.asarray(layer.moving_mean_fraction)
        mean = averages.joined(*kept)
    slope = (values(layer.gamma) if layer.scale else 1.0) / deviation
    offset = (values(layer.beta) if layer.center else 0.0) - mean * slope
    return scaled(x, error, y, slope.reshape(shape), offset.reshape(shape))


def _deviation(layer: Any) -> Array:
    if hasattr(layer, "moving_deviation"):
        square = values(layer.moving_deviation) ** 2
    else:
        square = values(layer.moving_variance)
    return np.sqrt(square + layer.epsilon)


def _layer(layer: Any, x: Array, error: Array, y: Array) -> Step | None:
    """Layer normalization: u = c / s with c = x - mean(x), s^2 = mean(c^2) + epsilon.

    With d = e - mean(e), D >= |d| and t = rms(D), s moves by t at most, and
    u - u* = (d - u mean(u d)) / s + q, where, elementwise,
    |q| <= |u| (2 t^2 / (s (s - t)) + t^2 / ((s - t) (2 s - t))) + D t / (s (s - t)).
    """
    axes = tuple(np.atleast_1d(layer.axis))
    gamma = _along(layer.gamma, axes, x.ndim, 1.0)
    beta = _along(layer.beta, axes, x.ndim, 0.0)

    def mean(one: Array) -> Array:
        return np.mean(one, axis=axes, keepdims=True)

    centered = x - mean(x)
    spread = np.sqrt(mean(centered**2) + layer.epsilon)
    unit = centered / spread
    reach = error + mean(error)
    shift = np.sqrt(mean(reach**2))
    left = np.where(shift < spread, spread - shift, np.nan)  # NaN: nothing is known
    bend = np.abs(unit) * (
        2 * shift**2 / (spread * left) + shift**2 / (left * (spread + left))
    )
    bend = bend + reach * shift / (spread * left)
    moved = (reach + np.abs(unit) * mean(np.abs(unit) * reach)) / spread
    size = (np.abs(x) + mean(np.abs(x))) / spread * np.abs(gamma) + np.abs(beta)
    local = distance(y, unit * gamma + beta, size)

    def pull(slopes: Array) -> tuple[Array]:
        narrow = (slopes * gamma).astype("float64")
        along = mean_of(narrow * unit)
        back = (narrow - mean_of(narrow) - unit * along) / spread
        return (back.astype("float32"),)

    def mean_of(one: Array) -> Array:
        inner = tuple(axis if axis < 0 else axis + 1 for axis in axes)
        return np.mean(one, axis=inner, keepdims=True)

    terms = int(np.prod([x.shape[axis] for axis in axes]))
    return combined(
        np.abs(gamma) * moved, local + np.abs(gamma) * bend, pull, min(terms, 64)
    )


def _along(variable: Any, axes: tuple[int, ...], rank: int, default: float) -> Array:
    """A parameter in the shape that broadcasts to the inputs."""
    if variable is None:
        return np.asarray(default)
    kept = values(variable)
    shape = [1] * rank
    for axis, size in zip(
        sorted(axis % rank for axis in axes), kept.shape, strict=True
    ):
        shape[axis] = size
    return kept.reshape(shape)
