"""Outputs of any number of examples from a function of one batch size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def in_batches(
    forward: Callable[[np.ndarray], object], x: np.ndarray, batch_size: int
) -> np.ndarray:
    """A compiled function's outputs for all examples.

    The last batch is filled up with its last example, so that one trace does.

    Args:
        forward: Takes [batch_size, ...] and gives a tensor [batch_size, ...].
        x: [examples, ...].
        batch_size: Examples a call.

    Returns:
        [examples, ...].
    """
    missing = -len(x) % batch_size
    padded = np.concatenate([x, np.repeat(x[-1:], missing, axis=0)])
    outputs = [
        np.asarray(forward(padded[i : i + batch_size]))
        for i in range(0, len(padded), batch_size)
    ]
    return np.concatenate(outputs)[: len(x)]
