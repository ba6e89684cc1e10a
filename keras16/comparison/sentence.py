"""Which precision to use and why, in a sentence or two."""

from __future__ import annotations

from collections.abc import Sequence

from keras16.analysis.claims import LEAST_PAIRS
from keras16.comparison.probe import BASELINE
from keras16.comparison.row import FASTER, LESS, MORE, OPEN, SAME, UNCLEAR, Row
from keras16.criterion import Metric

NONE_AS_GOOD = "no other precision is proven as good here."
NO_GAIN = "nothing is known to be gained by another precision here."
COSTS_MORE = "what is more accurate here is larger, or slower."
NO_RUN = "has no run that is over"


def recommended(best: Row, rows: Sequence[Row], metric: Metric, margin: float) -> str:
    """Which precision to use and why, and why not the others.

    Args:
        best: The one to use.
        rows: All.
        metric: That they are judged by.
        margin: In its units.
    """
    word = "Keep" if best.precision in (BASELINE, "mixed") else "Use"
    others = [row for row in rows if row is not best]
    if best.precision == BASELINE:
        reasons = _why_kept(others)
    else:
        reasons = _praise(best, metric, margin)
    rest = "; ".join(filter(None, (_fault(row, best, metric) for row in others)))
    return f"{word} {best.precision}: {reasons}" + (f" {rest}." if rest else "")


def _why_kept(others: Sequence[Row]) -> str:
    """Why float32 is kept."""
    good = [row for row in others if row.is_safe]
    if any(row.verdict == MORE for row in good):
        return COSTS_MORE
    return NO_GAIN if good else NONE_AS_GOOD


def nothing(rows: Sequence[Row], metric: Metric) -> str:
    """What is said where none can be recommended.

    Args:
        rows: All.
        metric: That they are judged by.
    """
    baseline = next((row for row in rows if row.precision == BASELINE), None)
    is_tried = baseline is None or not baseline.problem
    if is_tried and not any(row.runs for row in rows):
        return "Nothing was trained to the end: give more --minutes or fewer --epochs."
    is_hopeless = not any(row.scores or not row.is_bad for row in rows)
    if baseline and baseline.failures and is_hopeless:
        return _only_failures(rows, baseline)
    others = "; ".join(_state(row, metric) for row in rows if row is not baseline)
    told = _state(baseline, metric) if baseline else f"{BASELINE} {NO_RUN}"
    more = "" if baseline and baseline.is_bad else ": give more --minutes"
    return f"Nothing can be told: {told}{more}." + (f" {others}." if others else "")


def _only_failures(rows: Sequence[Row], baseline: Row) -> str:
    """What is said where no run has a number."""
    count = sum(row.failures for row in rows)
    names = ", ".join(row.precision for row in rows if row.failures)
    return (
        f"No run came to a number, and {count} failed (at {names}): more --minutes "
        f"will not help. The first at {BASELINE}: {baseline.cause.rstrip('.')}."
    )


def _state(row: Row, metric: Metric) -> str:
    """What a precision has come to, in half a sentence."""
    if row.is_bad or row.difference.count:
        return _unfit(row, metric)
    if not row.runs:
        return f"{row.precision} {NO_RUN}"
    return f"{row.precision} finished {row.runs} of {row.runs} runs"


def _praise(row: Row, metric: Metric, margin: float) -> str:
    than = f"{row.verdict} {'than' if row.verdict == MORE else 'as'} 32"
    apart = _apart(row, metric, margin)
    return f"{than} {apart}, {speed(row)}, {_memory(row)}."


def _apart(row: Row, metric: Metric, margin: float) -> str:
    mean = row.difference.mean or 0.0
    if metric.is_share:
        return f"({100 * mean:+.2f} points, margin {100 * margin:g})"
    return f"({mean:+.3g} in {metric.name}, margin {margin:g})"


def speed(row: Row) -> str:
    """How its epochs compare with float32's, in words."""
    if row.pace == OPEN or row.ratio is None:
        return f"of a speed that is not settled ({_open(row)})"
    if row.pace == SAME:
        return "as fast"
    if row.pace == FASTER:
        return f"{row.ratio:.2g} times as fast"
    return f"{1 / row.ratio:.2g} times as slow"


def _open(row: Row) -> str:
    """Why its speed is not settled."""
    if not row.timed:
        return f"{_pairs(0)} timed"
    span = f"{row.ratio_low:.3g} to {row.ratio_high:.3g} times 32's"
    if not row.timed_alone:
        return "the machine was busy" + (f"; {span}" if row.timed > 1 else "")
    if row.timed < LEAST_PAIRS:
        return f"{_pairs(row.timed)} timed"
    return span


def _pairs(count: int) -> str:
    return f"{count} {'pair' if count == 1 else 'pairs'} of runs"


def _memory(row: Row) -> str:
    return f"{row.state_bytes / 1e6:.3g} MB of weights and slots"


def _fault(row: Row, best: Row, metric: Metric) -> str:
    """Why it is not recommended, in half a sentence; "" where 32 was not needed."""
    if told := _unfit(row, metric):
        return told
    if row.precision == BASELINE:
        return ""
    if best.beats(row):
        return f"{row.precision} is {row.verdict} but {speed(row)}"
    size = "larger" if row.state_bytes > best.state_bytes else "no smaller"
    return f"{row.precision} is {row.verdict}{_beside(row, best)} but {size}"


def _unfit(row: Row, metric: Metric) -> str:
    """Why it may not be recommended, in half a sentence; "" where it may."""
    if row.problem:
        return f"{row.precision} could not be tried ({row.problem})"
    if row.failures:
        cause = f" ({row.cause.rstrip('.')})" if row.cause else ""
        return f"{row.precision} failed in {row.failures} of {row.runs} runs{cause}"
    if row.verdict == LESS:
        return f"{row.precision} is {_worse(row, metric)}"
    if row.verdict != UNCLEAR:
        return ""
    known = "" if row.pace == OPEN else f" ({speed(row)})"
    return (
        f"{row.precision}{known} is not settled after "
        f"{_pairs(row.difference.count)}: give more --minutes"
    )


def _beside(row: Row, best: Row) -> str:
    """The speed of a row that size decides about."""
    if row.pace != OPEN:
        return f" and {speed(row)}"
    return "" if best.pace == OPEN else f", {speed(row)},"


def _worse(row: Row, metric: Metric) -> str:
    """Such as "1.99 points less accurate"."""
    mean = row.difference.mean or 0.0
    if metric.is_share:
        return f"{-100 * mean:.2f} points less accurate"
    return f"less accurate ({mean:+.3g} in {metric.name})"
