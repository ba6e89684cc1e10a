"""Element-wise functions of images and of channels, in one long loop.

A loop over [..., 16 channels] ends 16 numbers on and starts anew, and a TensorFlow
kernel goes through memory once for each operation. So where the step is a plain graph
several places of an image that lie side by side in memory are seen as one row, the
vector of channels repeated, and all operations are one loop that XLA compiles. Where
XLA compiles the whole step, it decides what goes into which loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras16 import backend

LONG = 512  # numbers in a row: longer ones gain nothing


def places(shape: Sequence[int | None]) -> int:
    """How many places side by side make a row that is long enough.

    Args:
        shape: [..., channels]; axes of unknown length end the row.
    """
    found = 1
    for length in reversed(shape[1:-1]):
        if length is None or found * (shape[-1] or LONG) >= LONG:
            break
        found *= length
    return found


def view(rows: Any, together: int) -> Any:
    """[n, channels] -> [n / together, together x channels]."""
    if together == 1:
        return rows
    return ops.reshape(rows, (-1, together * rows.shape[-1]))


def tiled(vector: Any, together: int) -> Any:
    """[channels] -> [together x channels]: what belongs to such a row."""
    return vector if together == 1 else ops.tile(vector, (together,))


def by_column(
    rule: Callable[..., Any], rows: Sequence[Any], vectors: Sequence[Any], together: int
) -> Any:
    """An element-wise function of matrices and of vectors by column, in one loop.

    Args:
        rule: A function of a module, of as many tensors; it gives a tensor of the
            shape of the matrices, or a tuple of some.
        rows: Matrices [n, channels].
        vectors: [channels] each.
        together: So many rows are seen as one; divides n.
    """
    views = [view(each, together) for each in rows]
    long = [tiled(each, together) for each in vectors]
    shape = ops.shape(rows[0])
    found = backend.one_pass(rule)(*views, *long)
    return keras.tree.map_structure(lambda each: ops.reshape(each, shape), found)
