"""Several rows at once: Holm's correction, and one estimate over all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from keras16.statistics.pairs import (
    Difference,
    difference,
    mean_and_deviation,
    quantile,
)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number, in their order.

    The same as statsmodels' `multipletests`, which collects all garbage of the
    process at every call: a tenth of a second, hundreds of times a report.

    Source: Holm, Scand. J. Statist. 6 (1979), 65.
    """
    corrected = [0.0] * len(p_values)
    greatest = 0.0
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, place in enumerate(order):
        greatest = max(greatest, (len(p_values) - rank) * p_values[place])
        corrected[place] = min(1.0, greatest)
    return corrected


def pooled(rows: Sequence[Sequence[float]]) -> Difference:
    """One mean over rows that may truly differ: random effects.

    The spread between rows is Paule and Mandel's estimate; the interval is Hartung and
    Knapp's, never narrower than the plain one (Roever, Knapp, Friede, BMC Med. Res.
    Methodol. 15 (2015), 99), with Student's t of the number of rows: it tells what to
    expect of another row, too. A single row is its own estimate.

    Args:
        rows: The paired differences of each row; rows of none are left out.

    Returns:
        `count` is the number of rows, `deviation` the standard error of the mean.
    """
    known = [list(values) for values in rows if values]
    if len(known) < 2:
        return _single(known[0] if known else [])
    means = [sum(values) / len(values) for values in known]
    variances = mean_variances(known)
    if variances is None:
        return difference(means)
    mean, error = _random_effects(means, variances)
    half = quantile(0.975, len(known)) * error
    return Difference(len(known), mean, error, mean - half, mean + half)


def mean_variances(rows: Sequence[Sequence[float]]) -> list[float] | None:
    """The variance of the mean of each row; None where no row has any spread.

    A row of one pair, or of equal differences, tells nothing of its spread, and would
    else have all the weight: it is given the other rows' average.

    Args:
        rows: None of them empty.
    """
    spreads = [mean_and_deviation(values)[1] or 0.0 for values in rows]
    # Rounding of float64 is no spread.
    squares = [spread**2 if spread > 1e-12 else 0.0 for spread in spreads]
    freedom = sum(len(v) - 1 for v, s in zip(rows, squares, strict=True) if s)
    if not freedom:
        return None
    total = sum((len(v) - 1) * s for v, s in zip(rows, squares, strict=True))
    usual = total / freedom
    return [(s or usual) / len(v) for v, s in zip(rows, squares, strict=True)]


def _single(values: Sequence[float]) -> Difference:
    found = difference(values)
    if found.deviation is None:
        return Difference(int(bool(values)), found.mean)
    error = found.deviation / math.sqrt(found.count)
    return Difference(1, found.mean, error, found.low, found.high)


def _random_effects(
    means: Sequence[float], variances: Sequence[float]
) -> tuple[float, float]:
    """Mean and standard error over rows."""
    import numpy as np
    from statsmodels.stats.meta_analysis import combine_effects

    # Units of the largest error: the iteration stops at absolute distances.
    unit = math.sqrt(max(variances))
    with np.errstate(divide="ignore", invalid="ignore"):  # of I^2, where rows agree
        found = combine_effects(
            np.asarray(means) / unit,
            np.asarray(variances) / unit**2,
            method_re="iterated",
        )
    error = max(found.sd_eff_w_re, found.sd_eff_w_re_hksj)
    return float(found.mean_effect_re) * unit, float(error) * unit
