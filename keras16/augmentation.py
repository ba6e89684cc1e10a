"""Random flips and shifts: drawn on the host, applied inside the step.

The draws come from the seed alone, so they are the same at every precision, and
pixels are moved, never computed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from keras16.errors import UserError

NAMES = ("none", "flip", "shift", "flip_shift", "shift2", "flip_shift2")
SHIFT = 4  # pixels, where a name doesn't end with another number


def pixels(name: str) -> int:
    """The most that a name shifts an image by: 2 of "flip_shift2", 4 of "shift"."""
    return int(name[-1]) if name[-1].isdigit() else SHIFT


def check(name: str, input_shape: tuple[int, ...]) -> None:
    """Refuses an augmentation that there isn't, or that the inputs don't allow.

    Raises:
        UserError: Says which there are, or what the inputs would have to be.
    """
    if name not in NAMES:
        raise UserError(f"no augmentation {name!r}: there are {', '.join(NAMES)}.")
    most = pixels(name)
    if name != "none" and (len(input_shape) != 3 or min(input_shape[:2]) <= most):
        raise UserError(
            f"augmentation {name!r} wants images of more than {most} pixels a side, "
            f"not inputs of shape {input_shape}: use --augmentation none."
        )


def draw(name: str, count: int, seed: Any) -> np.ndarray:
    """[count, 3] int32: whether to flip, and by how much to shift down and right.

    Args:
        name: One of `NAMES`.
        count: Number of examples.
        seed: Whatever `numpy.random.default_rng` takes.
    """
    random = np.random.default_rng(seed)
    flips = random.integers(0, 2, (count, 1)) * ("flip" in name)
    most = pixels(name)
    shifts = random.integers(-most, most + 1, (count, 2)) * ("shift" in name)
    return np.concatenate([flips, shifts], axis=1).astype("int32")


def apply(name: str, images: Any, draws: Any) -> Any:
    """Flips each image left to right and shifts it, zeros moving in.

    Args:
        name: One of `NAMES`; what it doesn't do costs nothing.
        images: [n, height, width, channels] of any dtype.
        draws: [n, 3] int32, from `draw`.
    """
    if "flip" in name:
        flip = ops.reshape(draws[:, 0] > 0, (-1, 1, 1, 1))
        images = ops.where(flip, ops.flip(images, axis=2), images)
    if "shift" in name:
        images = _shifted(images, draws[:, 1], axis=1)
        images = _shifted(images, draws[:, 2], axis=2)
    return images


def _shifted(images: Any, by: Any, axis: int) -> Any:
    size = images.shape[axis]
    source = ops.expand_dims(ops.arange(size, dtype="int32"), 0)
    source = source - ops.expand_dims(by, 1)
    inside = ops.logical_and(source >= 0, source < size)
    shape = (-1, size, 1, 1) if axis == 1 else (-1, 1, size, 1)
    index = ops.reshape(ops.clip(source, 0, size - 1), shape)
    index = ops.broadcast_to(index, ops.shape(images))
    moved = ops.take_along_axis(images, index, axis=axis)
    return ops.where(ops.reshape(inside, shape), moved, ops.zeros_like(moved))
