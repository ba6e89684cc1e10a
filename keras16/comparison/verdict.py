"""From probes and records to one table and one sentence."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence

from keras16.comparison.probe import Probe
from keras16.criterion import Metric
from keras16.results import Record
from keras16.statistics import equivalence, pairs

BASELINE = "32"
SAME_SPEED = 0.05  # ratios nearer to 1 than this are no reason to choose
ACCURATE, LESS, MORE, UNCLEAR = (
    "as accurate",
    "less accurate",
    "more accurate",
    "unclear",
)


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
            tests at 5 %), "less accurate", "more accurate" (the 95 % interval of the
            difference lies on one side of 0 and not within the margin), "unclear";
            "" of float32. Of a metric that is better the lower, a lower one is more
            accurate.
        epoch_seconds: Median over the runs; the probe's before one has finished.
        ratio: Float32's epoch time divided by this one's, paired by seed where there
            are pairs.
        weight_bytes, optimizer_bytes, peak_memory_bytes, wide_tensors, tensors: Of the
            probe.
        failures, runs: How many trainings did not finish, and how many there were.
        problem: Why it could not be tried, or "".
    """

    precision: str
    scores: tuple[float, ...]
    score: pairs.Difference
    difference: pairs.Difference
    verdict: str
    epoch_seconds: float | None
    ratio: float | None
    weight_bytes: int
    optimizer_bytes: int
    peak_memory_bytes: int
    wide_tensors: int
    tensors: int
    failures: int
    runs: int
    problem: str = ""

    @property
    def state_bytes(self) -> int:
        """Weights and slots."""
        return self.weight_bytes + self.optimizer_bytes


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a comparison came to.

    Attributes:
        rows: One for each precision, in the order asked for.
        metric: That they are judged by.
        margin: Metrics that differ by less count as equal; accuracies in [0, 1].
        epochs: Of every run.
        minutes: That it took.
    """

    rows: tuple[Row, ...]
    metric: Metric
    margin: float
    epochs: int
    minutes: float

    @property
    def best(self) -> Row | None:
        """The precision to use; None where nothing was trained to the end."""
        good = [row for row in self.rows if _is_safe(row)]
        if not good:
            return None
        fastest = max(row.ratio or 0.0 for row in good)
        near = [row for row in good if (row.ratio or 0.0) >= fastest * (1 - SAME_SPEED)]
        return min(near, key=lambda row: row.state_bytes)

    @property
    def verdict(self) -> str:
        """Which precision to use and why, in a sentence or two."""
        best = self.best
        if best is None:
            return (
                "Nothing was trained to the end: give more --minutes or fewer --epochs."
            )
        word = "Keep" if best.precision in (BASELINE, "mixed") else "Use"
        reasons = _praise(best, self.metric, self.margin)
        others = [row for row in self.rows if row is not best]
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
) -> Comparison:
    """The table and the sentence of what was measured so far.

    Args:
        probes: One for each precision.
        records: Of the runs that are over; their arms are precisions.
        metric: That they are judged by.
        margin: In its units; of accuracies in [0, 1].
        epochs: Of every run.
        minutes: Since the beginning.
    """
    rows = tuple(_row(probe, probes, records, metric, margin) for probe in probes)
    return Comparison(rows, metric, margin, epochs, minutes)


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
    timed = [(done[pair], others[pair]) for pair in both]
    is_baseline = probe.precision == BASELINE
    return Row(
        precision=probe.precision,
        scores=tuple(scores.values()),
        score=pairs.difference(tuple(scores.values())),
        difference=pairs.difference([] if is_baseline else apart),
        verdict="" if is_baseline else verdict(apart, margin, metric.sign),
        epoch_seconds=_epoch_seconds(probe, list(done.values())),
        ratio=1.0 if is_baseline else _ratio(timed, probe, probes),
        weight_bytes=probe.weight_bytes,
        optimizer_bytes=probe.optimizer_bytes,
        peak_memory_bytes=probe.peak_memory_bytes,
        wide_tensors=probe.wide_tensors,
        tensors=probe.tensors,
        failures=sum(record.status != "finished" for record in own),
        runs=len(own),
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
    found = pairs.difference(differences)
    assert found.low is not None and found.high is not None  # two or more
    if found.high < 0:
        return LESS
    return MORE if found.low > 0 else UNCLEAR


def _epoch_seconds(probe: Probe, done: Sequence[Record]) -> float | None:
    found = [_clock(record) for record in done]
    known = [seconds for seconds in found if seconds]
    return statistics.median(known) if known else probe.epoch_seconds or None


def _clock(record: Record) -> float | None:
    return record.median_epoch_seconds or record.first_epoch_seconds


def _ratio(
    both: Sequence[tuple[Record, Record]], probe: Probe, probes: Sequence[Probe]
) -> float | None:
    timed = [(_clock(one), _clock(other)) for one, other in both]
    found = [other / one for one, other in timed if one and other]
    if found:
        return statistics.median(found)
    baseline = next((p for p in probes if p.precision == BASELINE), None)
    if baseline is None or not probe.epoch_seconds:
        return None
    return baseline.epoch_seconds / probe.epoch_seconds


def _is_safe(row: Row) -> bool:
    """Whether it may be recommended: trained, never failed, and no less accurate."""
    trained = bool(row.scores) and not row.failures and not row.problem
    return trained and row.verdict in ("", ACCURATE, MORE)


def _praise(row: Row, metric: Metric, margin: float) -> str:
    if row.precision == BASELINE:
        return "no other precision is proven as good here."
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
    if row.ratio is None:
        return "of unknown speed"
    if abs(row.ratio - 1) < SAME_SPEED:
        return "as fast"
    if row.ratio > 1:
        return f"{row.ratio:.2g} times as fast"
    return f"{1 / row.ratio:.2g} times as slow"


def _memory(row: Row) -> str:
    return f"{row.state_bytes / 1e6:.3g} MB of weights and slots"


def _fault(row: Row, best: Row, metric: Metric) -> str:
    """Why it is not recommended, in half a sentence; "" where 32 was not needed."""
    if row.problem:
        return f"{row.precision} could not be tried ({row.problem})"
    if row.failures:
        return f"{row.precision} failed in {row.failures} of {row.runs} runs"
    if row.precision == BASELINE:
        return ""
    if row.verdict == LESS:
        return f"{row.precision} is {_worse(row, metric)}"
    if row.verdict == UNCLEAR:
        count = row.difference.count
        return (
            f"{row.precision} ({speed(row)}) is not settled after {count} "
            f"{'pair' if count == 1 else 'pairs'} of runs: give more --minutes"
        )
    return f"{row.precision} is as accurate but {speed(row)}"


def _worse(row: Row, metric: Metric) -> str:
    """Such as "1.99 points less accurate"."""
    mean = row.difference.mean or 0.0
    if metric.is_share:
        return f"{-100 * mean:.2f} points less accurate"
    return f"less accurate ({mean:+.3g} in {metric.name})"
