"""How much is still certified as the inputs move away from those trained on.

The papers' tolerance is a mean over test examples: it says something of inputs like
these. Rounding errors grow with the values inside a net, and gamma shrinks where a net
is in doubt, so both shares fall.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np

from keras16.tolerance import comparisons, measured, nets
from keras16.tolerance.measured import Comparison

# Noise in standard deviations of all inputs; contrast that is lost, 1 leaving none.
STRENGTHS = {
    "noise": (0.1, 0.25, 0.5, 1.0, 2.0),
    "contrast": (0.25, 0.5, 0.75, 0.9, 0.97),
}
NONE = "none"
Proof = Callable[[keras.Model, np.ndarray], np.ndarray]


class Shifted(NamedTuple):
    """What became of one shift.

    Attributes:
        kind: "none", "noise", "contrast" or the name of a data set.
        strength: As in `STRENGTHS`; 0 for "none", 1 for a data set.
        comparison: The net and its cast on these inputs.
        proven: The share that is proven, in [0, 1]; None where nothing proves it.
    """

    kind: str
    strength: float
    comparison: Comparison
    proven: float | None = None


def noise(x: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """Inputs with normal noise added.

    Args:
        x: [examples, ...], uint8 pixels or floats.
        strength: Standard deviation of the noise in those of all of x.
        seed: Of the noise.

    Returns:
        As x: pixels rounded and kept within 0 to 255.
    """
    draws = np.random.default_rng(seed).normal(size=x.shape)
    exact = x.astype(np.float64)
    return _as(exact + strength * float(exact.std()) * draws, x.dtype)


def contrast(x: np.ndarray, strength: float) -> np.ndarray:
    """Inputs drawn towards the mean of their own example.

    Args:
        x: [examples, ...], uint8 pixels or floats.
        strength: The part of the distance that is lost: 1 leaves the mean alone.

    Returns:
        As x.
    """
    exact = x.astype(np.float64)
    mean = exact.mean(axis=tuple(range(1, x.ndim)), keepdims=True)
    return _as(mean + (1 - strength) * (exact - mean), x.dtype)


def by_shift(
    model: keras.Model,
    x: np.ndarray,
    others: Mapping[str, np.ndarray] | None = None,
    proof: Proof | None = None,
) -> list[Shifted]:
    """A net and its cast on inputs that move away.

    Args:
        model: In any precision.
        x: [examples, ...] as the model takes them.
        others: More inputs of the same shape, such as another data set's, by name.
        proof: Gives for the 16-bit net and inputs [examples] bool: what is proven.

    Returns:
        The inputs as they are, then each kind with rising strength, then others.
    """
    pair = comparisons.pair(model)
    return [_judged(*each, pair, proof) for each in _shifts(x, others or {})]


def _shifts(
    x: np.ndarray, others: Mapping[str, np.ndarray]
) -> Sequence[tuple[str, float, np.ndarray]]:
    return [
        (NONE, 0.0, x),
        *(("noise", s, noise(x, s)) for s in STRENGTHS["noise"]),
        *(("contrast", s, contrast(x, s)) for s in STRENGTHS["contrast"]),
        *((name, 1.0, other) for name, other in others.items()),
    ]


def _judged(
    kind: str,
    strength: float,
    x: np.ndarray,
    pair: tuple[keras.Model, keras.Model],
    proof: Proof | None,
) -> Shifted:
    p, q = (nets.probabilities(net, x) for net in pair)
    proven = None if proof is None else float(np.mean(proof(pair[1], x)))
    return Shifted(kind, strength, measured.compared(kind, p, q), proven)


def _as(exact: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if np.issubdtype(dtype, np.integer):
        exact = np.clip(np.rint(exact), 0, 255)
    found: np.ndarray = exact.astype(dtype)
    return found
