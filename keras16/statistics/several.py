"""Several rows at once: Holm's correction, and one estimate over all of them."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence

from keras16.statistics.pairs import (
    Difference,
    difference,
    has_no_spread,
    mean_and_deviation,
    quantile,
)

MANY_ROWS = 5  # of fewer, the spread between rows is a guess
LEAST_PAIRS = 3  # of fewer, the spread of a row is a guess
PRIOR = 4  # degrees of freedom that a row borrows from the others


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
    """One mean over rows that may truly differ.

    Of `MANY_ROWS` and more, by random effects: it tells what to expect of another row,
    too. The spread between rows is Paule and Mandel's estimate; the interval is
    Hartung and Knapp's, never narrower than the plain one (Roever, Knapp, Friede, BMC
    Med. Res. Methodol. 15 (2015), 99), by Student's t of the number of rows.

    Of fewer, from which no spread between rows can be told, it is the plain mean of
    these very rows, with the spread of the seeds of each (Welch and Satterthwaite's
    degrees of freedom: the 95 % interval holds the truth in 93 % of simulations or
    more, however the spreads differ). A row of one pair or two would make a guess of
    it, and is left out where others have more.

    Args:
        rows: The paired differences of each row; rows of none are left out.

    Returns:
        `count` is the number of rows, `deviation` the standard error of the mean.
    """
    known = [list(values) for values in rows if values]
    if not known:
        return Difference(0)
    if len(known) < MANY_ROWS:
        return _plain_mean(known)
    means = [statistics.fmean(values) for values in known]
    variances = mean_variances(known)
    if variances is None:
        return difference(means)
    mean, error = _random_effects(means, variances)
    half = quantile(0.975, len(known)) * error
    return Difference(len(known), mean, error, mean - half, mean + half)


def _plain_mean(rows: Sequence[Sequence[float]]) -> Difference:
    """Of the rows with the most pairs that make an interval; None of them is empty."""
    least = min(LEAST_PAIRS, max(len(values) for values in rows))
    kept = [values for values in rows if len(values) >= least]
    if len(kept) == 1:
        found = difference(kept[0])
        error = found.deviation and found.deviation / math.sqrt(found.count)
        return dataclasses.replace(found, count=1, deviation=error)
    means = [statistics.fmean(values) for values in kept]
    if all(has_no_spread(values) for values in kept):  # the rows are the sample
        return difference(means)
    variances = [statistics.variance(values) / len(values) for values in kept]
    freedom = sum(variances) ** 2 / sum(
        variance**2 / (len(values) - 1)
        for variance, values in zip(variances, kept, strict=True)
    )
    mean, error = statistics.fmean(means), math.sqrt(sum(variances)) / len(kept)
    half = quantile(0.975, freedom + 1) * error
    return Difference(len(kept), mean, error, mean - half, mean + half)


def mean_variances(rows: Sequence[Sequence[float]]) -> list[float] | None:
    """The variance of the mean of each row; None where no row has any spread.

    A spread of three seeds is a guess, of one pair it is unknown, and a row that
    seems to have little would have all the weight: each is averaged with that of all
    rows, which counts as `PRIOR` further degrees of freedom. (Smyth, Stat. Appl.
    Genet. Mol. Biol. 3 (2004), 3, with a fixed prior. Without it the 95 % interval
    of 12 rows of 3 seeds holds the truth in 90 % of simulations, with it in 95 or
    more.)

    Args:
        rows: None of them empty.
    """
    freedoms = [len(values) - 1 for values in rows]
    spreads = [mean_and_deviation(values)[1] or 0.0 for values in rows]
    # Rounding of float64 is no spread.
    squares = [
        freedom * spread**2 if spread > 1e-12 else 0.0
        for freedom, spread in zip(freedoms, spreads, strict=True)
    ]
    if not any(squares):
        return None
    usual = sum(squares) / sum(freedoms)
    return [
        (PRIOR * usual + square) / (PRIOR + freedom) / (freedom + 1)
        for freedom, square in zip(freedoms, squares, strict=True)
    ]


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
