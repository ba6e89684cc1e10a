"""Numbers in the units of a study's metric: shares become percent and points."""

from __future__ import annotations

import dataclasses

from keras16.analysis.cells import Grid
from keras16.criterion import Metric
from keras16.report import units
from keras16.report.study import words
from keras16.statistics.pairs import Difference


@dataclasses.dataclass(frozen=True)
class Scale:
    """How the values of a metric are written.

    Attributes:
        metric: Of the study.
    """

    metric: Metric

    @property
    def factor(self) -> int:
        """From a value to what is drawn."""
        return 100 if self.metric.is_share else 1

    @property
    def title(self) -> str:
        """The metric's name at the beginning of a sentence."""
        return "Accuracy" if self.metric.is_accuracy else self.metric.name

    @property
    def good(self) -> str:
        """What one arm is as much as another."""
        return "accurate" if self.metric.is_accuracy else "good"

    @property
    def better(self) -> str:
        """What one arm is in comparison with another."""
        return "more accurate" if self.metric.is_accuracy else "better"

    @property
    def lower(self) -> str:
        """A remark where it is needed."""
        return "" if self.metric.higher_is_better else " (lower is better)"

    def unit(self, form: str) -> str:
        """The unit of a share; "" of any other metric.

        Args:
            form: Such as " [%]" or " in points".
        """
        return form if self.metric.is_share else ""

    def of(self, form: str) -> str:
        """The metric with its unit, such as "accuracy [%]".

        Args:
            form: As of `unit`.
        """
        return f"{self.metric.name}{self.unit(form)}{self.lower}"

    def value(self, mean: float | None, deviation: float | None) -> str:
        """Such as "80.93 ± 0.31" (percent), or "0.1234 ± 0.0012"."""
        if self.metric.is_share or mean is None:
            return words.accuracy(mean, deviation)
        spread = "" if deviation is None else f" ± {deviation:.2g}"
        return f"{units.number(mean)}{spread}"

    def published(self, mean: float, deviation: float | None) -> str:
        """The same in the digits that papers give."""
        digits = ".1f" if self.metric.is_share else ".4g"
        numbers = [each for each in (mean, deviation) if each is not None]
        return " ± ".join(f"{self.factor * each:{digits}}" for each in numbers)

    def apart(self, difference: float | None, digits: int = 2) -> str:
        """A difference such as "+0.12" (points), or "+0.00123"."""
        if self.metric.is_share or difference is None:
            return words.points(difference, digits)
        return f"{difference:+.3g}".replace("-", "−") if difference else "0"

    def interval(self, found: Difference) -> str:
        """With the 95 % interval, such as "+0.12 (−0.10 to +0.34)"."""
        if found.low is None or found.high is None:
            return self.apart(found.mean)
        low, high = self.apart(found.low), self.apart(found.high)
        return f"{self.apart(found.mean)} ({low} to {high})"

    def margin(self, margin: float) -> str:
        """Such as "0.5 points", or "0.01 in mae"."""
        return self.with_unit(f"{self.factor * margin:g}")

    def with_unit(self, text: str) -> str:
        """A difference with its unit."""
        unit = "points" if self.metric.is_share else f"in {self.metric.name}"
        return f"{text} {unit}"


def of(grid: Grid) -> Scale:
    """That of a study."""
    return Scale(grid.metric)
