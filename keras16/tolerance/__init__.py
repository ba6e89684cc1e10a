"""Whether rounding can have changed what a net answers."""

from keras16.tolerance.comparisons import cast, compare
from keras16.tolerance.measured import (
    Comparison,
    Distribution,
    compared,
    delta,
    distribution,
    gamma,
    probabilities,
)
from keras16.tolerance.simulation import by_format, layerwise, simulated

__all__ = [
    "Comparison",
    "Distribution",
    "by_format",
    "cast",
    "compare",
    "compared",
    "delta",
    "distribution",
    "gamma",
    "layerwise",
    "probabilities",
    "simulated",
]
