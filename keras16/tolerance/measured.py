"""Two nets on the same inputs: how far they differ, and how much they may.

Pure NumPy in float64, on what the nets put out. With probabilities p of one net and q
of the other, an example has

- delta = max over classes of abs(p - q), the floating-point error, and
- gamma = the largest p less the second largest, the classification tolerance.

Where gamma > 2 delta, both nets answer the same class: the winner loses at most delta
and any other class gains at most delta. At equality both may come to a tie, so the
inequality is strict.

Source: arXiv 2301.12809, its lemma; that one has >= for >.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
# Orders of magnitude that arXiv 2301.12809 prints: of the mean and of the variance.
PUBLISHED = {
    "delta": {"mean": "1e-3", "variance": "1e-5 to 1e-4"},
    "gamma": {"mean": "1e-1", "variance": "1e-2"},
}
MEANING = {
    "cast": "cast: rounding alone",
    "trained": "trained apart at 32 and 16",
    "control": "two nets of one precision",
}


class Distribution(NamedTuple):
    """A quantity over examples; NaN where no example has a finite value.

    Attributes:
        mean: Of the finite values.
        variance: Of those, dividing by their number.
        quantiles: Of those, at `QUANTILES`.
        not_finite: How many values are NaN or infinite.
    """

    mean: float
    variance: float
    quantiles: tuple[float, ...]
    not_finite: int


class Comparison(NamedTuple):
    """Two nets on the same examples.

    Attributes:
        kind: "cast" (rounding alone), "trained" (a net of each precision, trained
            from paired seeds), "control" (two nets of one precision), or the name of
            a format or a shift.
        delta: [examples] float64 in [0, 1]; NaN where a net's outputs are none.
        gamma: [examples] float64 in [0, 1], of the first net.
        agrees: [examples] bool: whether both answer the same class; an answer that is
            no number agrees with none.
    """

    kind: str
    delta: np.ndarray
    gamma: np.ndarray
    agrees: np.ndarray

    @property
    def certified(self) -> np.ndarray:
        """[examples] bool: whether gamma > 2 delta, which NaN never is."""
        # Rounding is monotonic and doubling exact: where this holds for the rounded
        # differences it holds for the exact ones of the same float64 probabilities.
        return self.gamma > 2 * self.delta

    @property
    def certified_share(self) -> float:
        """In [0, 1]."""
        return float(np.mean(self.certified))

    @property
    def certified_disagreements(self) -> int:
        """Certified examples whose classes differ: 0, or the lemma is broken."""
        return int(np.sum(self.certified & ~self.agrees))

    @property
    def disagreements(self) -> int:
        """Examples whose classes differ, certified or not."""
        return int(np.sum(~self.agrees))


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis in float64.

    Args:
        logits: [examples, classes] of any float dtype; a row with NaN or +inf gives
            NaN.

    Returns:
        [examples, classes] float64.
    """
    z = np.asarray(logits, np.float64)
    with np.errstate(invalid="ignore"):
        raised = np.exp(z - z.max(axis=-1, keepdims=True))
        return raised / raised.sum(axis=-1, keepdims=True)


def delta(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The largest difference over the classes of each example.

    Args:
        p: Probabilities of one net, [examples, classes].
        q: Those of the other.

    Returns:
        [examples] float64; NaN where either row holds one.
    """
    difference = np.asarray(p, np.float64) - np.asarray(q, np.float64)
    found: np.ndarray = np.max(np.abs(difference), axis=-1)
    return found


def gamma(p: np.ndarray) -> np.ndarray:
    """By how much the largest probability of each example leads the second.

    Args:
        p: Probabilities, [examples, classes]; two classes or more.

    Returns:
        [examples] float64: 0 at a tie, NaN where the row holds one.
    """
    exact = np.asarray(p, np.float64)
    top = np.partition(exact, -2, axis=-1)
    lead = top[..., -1] - top[..., -2]
    # NaN sorts last, so that only the greatest would be one.
    found: np.ndarray = np.where(np.isnan(exact).any(axis=-1), np.nan, lead)
    return found


def compared(kind: str, p: np.ndarray, q: np.ndarray) -> Comparison:
    """Two nets' probabilities as a comparison.

    Args:
        kind: See `Comparison`.
        p: Of the first net, the wider one: [examples, classes].
        q: Of the second net, likewise.
    """
    same = np.argmax(p, axis=-1) == np.argmax(q, axis=-1)
    apart = delta(p, q)
    return Comparison(kind, apart, gamma(p), same & np.isfinite(apart))


def distribution(values: np.ndarray) -> Distribution:
    """Mean, variance and quantiles of the finite values.

    Args:
        values: [examples].
    """
    finite = values[np.isfinite(values)]
    lost = int(values.size - finite.size)
    if not finite.size:
        nothing = float("nan")
        return Distribution(nothing, nothing, (nothing,) * len(QUANTILES), lost)
    quantiles = tuple(float(x) for x in np.quantile(finite, QUANTILES))
    return Distribution(float(finite.mean()), float(finite.var()), quantiles, lost)
