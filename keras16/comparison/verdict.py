"""From probes and records to one table and one sentence."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from keras16.analysis.claims import LEAST_PAIRS
from keras16.comparison import times
from keras16.comparison.probe import BASELINE, Probe
from keras16.criterion import Metric
from keras16.results import Record
from keras16.statistics import equivalence, pairs

SAME_SPEED = 0.05  # ratios nearer to 1 than this are no reason to choose
SAME_SIZE = 0.01  # likewise: the loss scale of mixed is some bytes of slots
ACCURATE, LESS, MORE, UNCLEAR = (
    "as accurate",
    "less accurate",
    "more accurate",
    "unclear",
)
NONE_AS_GOOD = "no other precision is proven as good here."
NO_GAIN = "nothing is known to be gained by another precision here."
SMALLEST = (
    "it is the smallest of those proven as good here, and none of them is known to be "
    "faster."
)
NO_RUN = "has no run that is over"
FASTER, SLOWER, SAME, OPEN = "faster", "slower", "as fast", "not settled"


@dataclasses.dataclass(frozen=True)
class Row:
    """One precision.

    Attributes:
        precision: Its name.
        scores: The metric on validation data after the last epoch, of the runs that
            finished; accuracies in [0, 1].
        score: Their mean and its 95 % interval (Student's t).
        difference: Less float32's, paired by seed.
        verdict: One of "as accurate" (equivalent within the margin by two one-sided
            tests at 5 %), "less accurate", "more accurate" (two-sided at 5 %, and not
            within the margin), "unclear"; "" of float32. Of a metric that is better
            the lower, a lower one is more accurate.
        epoch_seconds: Median over the runs that were timed; the probe's before one has
            finished.
        ratio: Float32's epoch time divided by this one's: the median over the pairs of
            seeds timed on one machine, of those that had it to themselves where there
            are such; of the probes before there is a pair.
        ratio_low, ratio_high: As in `medians.Interval`; None of the probes.
        timed: Of how many pairs.
        timed_alone: Whether the runs behind the times had the machine to themselves.
        weight_bytes, optimizer_bytes, peak_memory_bytes, wide_tensors, tensors: Of the
            probe.
        failures, runs: How many trainings did not finish, or not with a number to
            judge them by, and how many there were.
        cause: Why the first of these failed, or "".
        problem: Why it could not be tried, or "".
    """

    precision: str
    scores: tuple[float, ...]
    score: pairs.Difference
    difference: pairs.Difference
    verdict: str
    epoch_seconds: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    timed: int
    timed_alone: bool
    weight_bytes: int
    optimizer_bytes: int
    peak_memory_bytes: int
    wide_tensors: int
    tensors: int
    failures: int
    runs: int
    cause: str = ""
    problem: str = ""

    @property
    def state_bytes(self) -> int:
        """Weights and slots."""
        return self.weight_bytes + self.optimizer_bytes

    @property
    def pace(self) -> str:
        """One of `FASTER`, `SLOWER` and `SAME`, as float32; `OPEN` where nobody knows.

        Nobody does by fewer than three pairs, by runs that shared the machine, and
        where the interval of the ratio spans 1 and more than `SAME_SPEED` about it.
        """
        if self.precision == BASELINE:
            return SAME
        found = self.ratio, self.ratio_low, self.ratio_high
        if self.timed < LEAST_PAIRS or not self.timed_alone or None in found:
            return OPEN
        ratio, low, high = (value or 0.0 for value in found)
        if low > 1 - SAME_SPEED and high < 1 + SAME_SPEED:
            return SAME
        if low > 1 and ratio >= 1 + SAME_SPEED:
            return FASTER
        return SLOWER if high < 1 and ratio <= 1 - SAME_SPEED else OPEN

    def beats(self, other: Row) -> bool:
        """Whether it is known to be the faster one, and by enough to matter."""
        if OPEN in (self.pace, other.pace):
            return False
        is_enough = (self.ratio or 0.0) * (1 - SAME_SPEED) > (other.ratio or 0.0)
        return is_enough and (self.ratio_low or 0.0) > (other.ratio_high or 0.0)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a comparison came to.

    Attributes:
        rows: One for each precision, in the order asked for.
        metric: That they are judged by.
        margin: Metrics that differ by less count as equal; accuracies in [0, 1].
        epochs: Of every run.
        minutes: That it took.
        other_code: How many runs of the same fields there are under other code, which
            count for nothing here.
    """

    rows: tuple[Row, ...]
    metric: Metric
    margin: float
    epochs: int
    minutes: float
    other_code: int = 0

    @property
    def best(self) -> Row | None:
        """The precision to use; None where none can be recommended.

        The smallest of those as accurate that no other is known to be faster than; of
        several as small, one that is more accurate.
        """
        good = [row for row in self.rows if _is_safe(row)]
        kept = [row for row in good if not any(other.beats(row) for other in good)]
        least = min((row.state_bytes for row in kept), default=0)
        small = [row for row in kept if row.state_bytes <= (1 + SAME_SIZE) * least]
        return min(small, key=_preference, default=None)

    @property
    def verdict(self) -> str:
        """Which precision to use and why, in a sentence or two."""
        best = self.best
        if best is None:
            return _nothing(self.rows, self.metric)
        word = "Keep" if best.precision in (BASELINE, "mixed") else "Use"
        others = [row for row in self.rows if row is not best]
        if best.precision == BASELINE:
            reasons = _why_kept(others)
        else:
            reasons = _praise(best, self.metric, self.margin)
        faults = [_fault(row, best, self.metric) for row in others]
        rest = "; ".join(filter(None, faults))
        return f"{word} {best.precision}: {reasons}" + (f" {rest}." if rest else "")


def compared(
    probes: Sequence[Probe],
    records: Sequence[Record],
    *,
    metric: Metric,
    margin: float,
    epochs: int,
    minutes: float,
    other_code: int = 0,
) -> Comparison:
    """The table and the sentence of what was measured so far.

    Args:
        probes: One for each precision.
        records: Of the runs that are over; their arms are precisions.
        metric: That they are judged by.
        margin: In its units; of accuracies in [0, 1].
        epochs: Of every run.
        minutes: Since the beginning.
        other_code: As in `Comparison`.
    """
    rows = tuple(_row(probe, probes, records, metric, margin) for probe in probes)
    return Comparison(rows, metric, margin, epochs, minutes, other_code)


def _row(
    probe: Probe,
    probes: Sequence[Probe],
    records: Sequence[Record],
    metric: Metric,
    margin: float,
) -> Row:
    own = [record for record in records if record.arm == probe.precision]
    done, scores = _scored(own, metric)
    others, baseline = _scored([r for r in records if r.arm == BASELINE], metric)
    both = [pair for pair in done if pair in others]
    apart = [scores[pair] - baseline[pair] for pair in both]
    causes = [_cause(one, metric) for one in own if metric.of(one) is None]
    is_baseline = probe.precision == BASELINE
    return Row(
        precision=probe.precision,
        scores=tuple(scores.values()),
        score=pairs.difference(tuple(scores.values())),
        difference=pairs.difference([] if is_baseline else apart),
        verdict="" if is_baseline else verdict(apart, margin, metric.sign),
        **times.of([(done[pair], others[pair]) for pair in both], probe, probes),
        weight_bytes=probe.weight_bytes,
        optimizer_bytes=probe.optimizer_bytes,
        peak_memory_bytes=probe.peak_memory_bytes,
        wide_tensors=probe.wide_tensors,
        tensors=probe.tensors,
        failures=len(causes),
        runs=len(own),
        cause=next(iter(causes), ""),
        problem=probe.problem,
    )


def _scored(
    records: Sequence[Record], metric: Metric
) -> tuple[dict[int, Record], dict[int, float]]:
    """Those that have a number, and the numbers, by their seed."""
    found = [(record, metric.of(record)) for record in records]
    scores = {record.pair: score for record, score in found if score is not None}
    return {record.pair: record for record, _ in found if record.pair in scores}, scores


def verdict(differences: Sequence[float], margin: float, sign: int = 1) -> str:
    """Whether paired metrics are the same, or which side is better.

    Args:
        differences: From float32's.
        margin: In the same units.
        sign: -1 where lower is better.
    """
    differences = [sign * each for each in differences]
    if len(differences) < 2:
        return UNCLEAR
    if equivalence.p_equivalent(differences, margin) <= equivalence.LEVEL:
        return ACCURATE
    if 2 * pairs.p_below(differences, 0.0) <= equivalence.LEVEL:
        return LESS
    more = 2 * pairs.p_above(differences, 0.0) <= equivalence.LEVEL
    return MORE if more else UNCLEAR


def _cause(record: Record, metric: Metric) -> str:
    """Why a run has no number."""
    if record.status != "finished":
        return record.cause
    return f"its validation {metric.name} is no number"


def _is_safe(row: Row) -> bool:
    """Whether it may be recommended: trained, never failed, and no less accurate."""
    trained = bool(row.scores) and not row.failures and not row.problem
    return trained and row.verdict in ("", ACCURATE, MORE)


def _preference(row: Row) -> tuple[bool, bool, int]:
    """The least is used, of rows of about one size."""
    return row.verdict != MORE, row.precision != BASELINE, row.state_bytes


def _nothing(rows: Sequence[Row], metric: Metric) -> str:
    """What is said where none can be recommended."""
    baseline = next((row for row in rows if row.precision == BASELINE), None)
    is_tried = baseline is None or not baseline.problem
    if is_tried and not any(row.runs for row in rows):
        return "Nothing was trained to the end: give more --minutes or fewer --epochs."
    is_hopeless = not any(row.scores or not _is_bad(row) for row in rows)
    if baseline and baseline.failures and is_hopeless:
        return _only_failures(rows, baseline)
    others = "; ".join(_state(row, metric) for row in rows if row is not baseline)
    told = _state(baseline, metric) if baseline else f"{BASELINE} {NO_RUN}"
    more = "" if baseline and _is_bad(baseline) else ": give more --minutes"
    return f"Nothing can be told: {told}{more}." + (f" {others}." if others else "")


def _is_bad(row: Row) -> bool:
    return bool(row.failures or row.problem)


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
    if _is_bad(row) or row.difference.count:
        return _unfit(row, metric)
    if not row.runs:
        return f"{row.precision} {NO_RUN}"
    return f"{row.precision} finished {row.runs} of {row.runs} runs"


def _why_kept(others: Sequence[Row]) -> str:
    """Why float32 is kept."""
    good = [row for row in others if _is_safe(row)]
    if any(row.verdict == MORE for row in good):
        return SMALLEST
    return NO_GAIN if good else NONE_AS_GOOD


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
