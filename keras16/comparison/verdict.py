"""From probes and records to one table and one sentence."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from keras16.comparison import sentence, times
from keras16.comparison.probe import BASELINE, Probe
from keras16.comparison.row import ACCURATE, LESS, MORE, UNCLEAR, Row
from keras16.criterion import Metric
from keras16.results import Record
from keras16.statistics import equivalence, pairs

SAME_SIZE = 0.01  # of sizes as `SAME_SPEED`: mixed has some bytes for its loss scale


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
        good = [row for row in self.rows if row.is_safe]
        kept = [row for row in good if not any(other.beats(row) for other in good)]
        least = min((row.state_bytes for row in kept), default=0)
        small = [row for row in kept if row.state_bytes <= (1 + SAME_SIZE) * least]
        return min(small, key=_preference, default=None)

    @property
    def verdict(self) -> str:
        """Which precision to use and why, in a sentence or two."""
        if self.best is None:
            return sentence.nothing(self.rows, self.metric)
        return sentence.recommended(self.best, self.rows, self.metric, self.margin)


def _preference(row: Row) -> tuple[bool, bool, int]:
    """The least is used, of rows of about one size."""
    return row.verdict != MORE, row.precision != BASELINE, row.state_bytes


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


def _cause(record: Record, metric: Metric) -> str:
    """Why a run has no number."""
    if record.status != "finished":
        return record.cause
    return f"its validation {metric.name} is no number"


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
