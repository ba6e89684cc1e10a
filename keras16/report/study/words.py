"""Numbers of a study as a person reads them: shares in [0, 1] become points."""

from __future__ import annotations

from collections.abc import Sequence

from keras16.statistics.medians import Interval
from keras16.statistics.pairs import Difference

NOTHING = "-"


def accuracy(mean: float | None, deviation: float | None) -> str:
    """Percent with its standard deviation, such as "80.93 ± 0.31"."""
    if mean is None:
        return NOTHING
    spread = "" if deviation is None else f" ± {100 * deviation:.2f}"
    return f"{100 * mean:.2f}{spread}"


def points(share: float | None, digits: int = 2) -> str:
    """A difference in points, such as "+0.12"; the minus sign is a real one.

    What rounds to 0 has a digit more, if that tells on which side of 0 it lies.
    """
    if share is None:
        return NOTHING
    text, finer = (f"{100 * share:+.{n}f}" for n in (digits, digits + 1))
    if _is_zero(finer):
        return text[1:]
    return (finer if _is_zero(text) else text).replace("-", "−")


def _is_zero(number: str) -> bool:
    return not number.strip("+-0.")


def difference(found: Difference) -> str:
    """Points with the 95 % interval, such as "+0.12 (−0.10 to +0.34)"."""
    if found.low is None or found.high is None:
        return points(found.mean)
    return f"{points(found.mean)} ({points(found.low)} to {points(found.high)})"


def ratio(found: Interval | None) -> str:
    """A median with its interval, such as "0.52 (0.50 to 0.55)"; one value alone."""
    if found is None:
        return NOTHING
    middle, low, high = (f"{each:.3g}" for each in found)
    return middle if found.low == found.high else f"{middle} ({low} to {high})"


def p_value(p: float | None) -> str:
    """Two digits, such as "0.034"; "< 0.001" below."""
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def share(part: float) -> str:
    """Percent of a rate, such as "11 %"."""
    return f"{100 * part:.3g} %"


def of(part: int, whole: int) -> str:
    """Such as "3 of 40"."""
    return f"{part:,} of {whole:,}"


def many(count: int, noun: str) -> str:
    """Such as "1 seed" or "3 seeds"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Such as "a, b and c"."""
    *first, last = names or ("none",)
    return f"{', '.join(first)} and {last}" if first else last
