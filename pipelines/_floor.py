"""`keras16 tolerance --floor`: how near SGD in float16 comes to an optimum."""

from __future__ import annotations

import json

from ._output import plain, say
from ._subject import Subject
from ._table import rendered


class FloorJob:
    """Descents and their record; the part of models is `Job`'s."""

    def __init__(self, uri: str, experiment: str) -> None:
        from keras16.report import floor as report
        from keras16.tolerance import floor

        self.uri, self.experiment, self.report = uri, experiment, report
        self.found = floor.floors()

    def record(self) -> None:
        """Puts numbers, table and figure into MLflow."""
        from keras16 import tracking

        subject = Subject("sgd-floor", "16", "least squares", 0, "sgd")
        tags = {"mlflow.note.content": self.report.verdict(self.found)}
        with tracking.track(
            subject, self.uri, self.experiment, subject.name
        ) as self.tracked:
            self.tracked.told(self.report.metrics(self.found), tags)
            self.tracked.files(lambda folder: self.report.write(self.found, folder))
        if self.tracked.problem:
            say(self.tracked.problem)

    @property
    def exit_code(self) -> int:
        """1 where a descent came below its bound, or the record is not whole."""
        broken = any(one.distance < one.bound for one in self.found)
        return 1 if broken or self.tracked.problem else 0

    def as_text(self) -> str:
        """The table, what it comes to, and where to find the record."""
        rows = self.report.table(self.found)
        text = rendered(rows, self.report.HEADER, figures=True)
        verdict = self.report.verdict(self.found)
        return "\n".join((text, verdict, self.tracked.where))

    def as_json(self) -> str:
        """The object that `--json` prints, on one line."""
        told = {
            **self.report.plain(self.found),
            "run_id": self.tracked.run_id or None,
            "tracking_uri": self.uri,
            "recorded": not self.tracked.problem,
        }
        return json.dumps(plain(told))
