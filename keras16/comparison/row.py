"""What is known of one precision, and how it compares with another."""

from __future__ import annotations

import dataclasses

from keras16.analysis.claims import LEAST_PAIRS
from keras16.comparison.probe import BASELINE
from keras16.statistics import pairs

SAME_SPEED = 0.05  # ratios nearer to 1 than this are no reason to choose
ACCURATE, LESS, MORE, UNCLEAR = (
    "as accurate",
    "less accurate",
    "more accurate",
    "unclear",
)
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
    def is_bad(self) -> bool:
        """Whether it could not be tried, or has ever failed."""
        return bool(self.failures or self.problem)

    @property
    def is_safe(self) -> bool:
        """Whether it may be recommended: it never failed, and is no less accurate."""
        known = self.verdict in ("", ACCURATE, MORE)
        return bool(self.scores) and known and not self.is_bad

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
