"""What moves numbers about, and what adds or multiplies two tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import layers, ops

from keras16.bounds._record import Call, values
from keras16.bounds._step import Array, Step, combined, distance, transposed

IDENTITIES = (
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.SpatialDropout3D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.AlphaDropout,
    layers.ActivityRegularization,
    layers.Identity,
)
MOVES = (
    layers.Flatten,
    layers.Reshape,
    layers.Permute,
    layers.RepeatVector,
    layers.ZeroPadding1D,
    layers.ZeroPadding2D,
    layers.ZeroPadding3D,
    layers.Cropping1D,
    layers.Cropping2D,
    layers.Cropping3D,
)
MOVES_BY_NAME = ("Reshape", "Transpose", "Squeeze", "ExpandDims", "GetItem")


def is_move(operation: Any) -> bool:
    """Whether each number that it gives is one that it was given, or 0."""
    if isinstance(operation, layers.Layer):
        return isinstance(operation, (*IDENTITIES, *MOVES))
    return type(operation).__name__ in MOVES_BY_NAME


def moved(operation: Any, x: Array, error: Array) -> Step:
    """The step of an operation that moves numbers about.

    Args:
        operation: Of Keras.
        x: What it was given.
        error: The bound on that.
    """
    if isinstance(operation, IDENTITIES):
        return combined(error, np.zeros_like(error), lambda slopes: (slopes,))

    def move(one: Any) -> Any:
        return operation.call(ops.convert_to_tensor(one))

    # Rounded up: what is moved is a bound.
    up = np.nextafter(error.astype("float32"), np.float32(np.inf))
    up = np.where(error == 0, 0, up).astype("float32")
    after = values(move(up))
    # What is repeated has its slopes added up.
    terms = -(-after.size // max(x.size, 1))
    return combined(after, np.zeros_like(after), transposed(move, x.shape), terms)


def looked_up(x: Array, y: Array) -> Step:
    """The step of an embedding: what is looked up is a weight, to the bit.

    Args:
        x: Ids.
        y: What it gave.
    """
    nothing = np.zeros_like(y)

    def pull(slopes: Array) -> tuple[Array]:
        return (np.zeros((len(slopes), *x.shape), "float32"),)

    return combined(nothing, nothing, pull)


def joined(
    call: Call, given: list[Array], errors: list[Array], y: Array
) -> Step | None:
    """The step of what makes one tensor of several; None of what isn't known.

    Args:
        call: Of a merging layer, or of an operation.
        given: What it was given, float64.
        errors: The bounds on them.
        y: What it gave.
    """
    operation = call.operation
    name = type(operation).__name__
    if isinstance(operation, layers.Concatenate) or name == "Concatenate":
        return _concatenated(operation.axis, given, errors)
    if any(one.shape != y.shape for one in given) or call.others:
        return None
    if isinstance(operation, layers.Average):
        share = 1 / len(given)
        return _sum(given, errors, y, [share] * len(given))
    if isinstance(operation, layers.Subtract) or name == "Subtract":
        return _sum(given, errors, y, [1.0, -1.0])
    if isinstance(operation, layers.Add) or name == "Add":
        return _sum(given, errors, y, [1.0] * len(given))
    if (isinstance(operation, layers.Multiply) or name == "Multiply") and (
        len(given) == 2
    ):
        return _product(given, errors, y)
    return None


def _sum(
    given: list[Array], errors: list[Array], y: Array, weights: list[float]
) -> Step:
    pairs = list(zip(weights, given, strict=True))
    exact = sum(weight * one for weight, one in pairs)
    size = sum(abs(weight) * np.abs(one) for weight, one in pairs)
    through = sum(
        abs(weight) * error for weight, error in zip(weights, errors, strict=True)
    )

    def pull(slopes: Array) -> tuple[Array, ...]:
        return tuple(slopes * np.float32(weight) for weight in weights)

    local = distance(y, np.asarray(exact), np.asarray(size))
    return combined(np.asarray(through), local, pull)


def _product(given: list[Array], errors: list[Array], y: Array) -> Step:
    """A b - a* b* = b e_a + a e_b - e_a e_b."""
    (a, b), (of_a, of_b) = given, errors
    through = np.abs(b) * of_a + np.abs(a) * of_b
    narrow = tuple(one.astype("float32") for one in (b, a))

    def pull(slopes: Array) -> tuple[Array, ...]:
        return tuple(slopes * one for one in narrow)

    return combined(through, distance(y, a * b) + of_a * of_b, pull)


def _concatenated(axis: int, given: list[Array], errors: list[Array]) -> Step:
    together = np.concatenate(errors, axis=axis)
    ends = np.cumsum([one.shape[axis] for one in given])[:-1]
    behind = axis if axis < 0 else axis + 1

    def pull(slopes: Array) -> tuple[Array, ...]:
        return tuple(np.split(slopes, ends, axis=behind))

    return combined(together, np.zeros_like(together), pull)


def up_sampled(layer: Any, x: Array, error: Array) -> Step | None:
    """The step of up-sampling by repetition; None by any other rule."""
    nearest = getattr(layer, "interpolation", "nearest") == "nearest"
    if not nearest or getattr(layer, "data_format", "channels_last") != "channels_last":
        return None
    sizes = tuple(np.atleast_1d(layer.size))

    def repeated(one: Array) -> Array:
        for axis, size in enumerate(sizes, start=1):
            one = np.repeat(one, size, axis=axis)
        return one

    def pull(slopes: Array) -> tuple[Array]:
        shape = [len(slopes), len(x)]
        for length, size in zip(x.shape[1:-1], sizes, strict=True):
            shape += [length, size]
        inner = slopes.reshape(*shape, x.shape[-1])
        axes = tuple(3 + 2 * number for number in range(len(sizes)))
        return (inner.sum(axis=axes),)

    after = repeated(error)
    return combined(after, np.zeros_like(after), pull, math.prod(sizes))
