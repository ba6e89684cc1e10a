"""Whether rounding can have changed what a net answers."""

from keras16.tolerance.comparisons import cast, compare
from keras16.tolerance.estimation import Estimate, estimate
from keras16.tolerance.judgement import Judgement, judge
from keras16.tolerance.measured import (
    Comparison,
    Distribution,
    compared,
    delta,
    distribution,
    gamma,
    probabilities,
)
from keras16.tolerance.shifts import Shifted, by_shift
from keras16.tolerance.simulation import by_format, layerwise, simulated

__all__ = [
    "Comparison",
    "Distribution",
    "Estimate",
    "Judgement",
    "Shifted",
    "by_format",
    "by_shift",
    "cast",
    "compare",
    "compared",
    "delta",
    "distribution",
    "estimate",
    "gamma",
    "judge",
    "layerwise",
    "probabilities",
    "simulated",
]
