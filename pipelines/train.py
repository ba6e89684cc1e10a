"""`keras16 train`: trains one run, saves its model and records it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
from typing import TYPE_CHECKING, Any

import click

from keras16 import precision
from keras16.results import MEASURED
from keras16.study import Run

from . import _model_file, _progress
from ._options import json_option, run_options, tracking_uri_option
from ._output import plain, ready, say
from ._quiet import import_tensorflow, results_only
from ._stopping import StopOnSignal
from ._table import rendered

if TYPE_CHECKING:
    import keras

    from keras16.callbacks._counts import Observation
    from keras16.tracking import Tracked
    from keras16.training import Epoch, Result

RESULT_FIELDS = ("status", "cause", *MEASURED)


@click.command(name="train")
@run_options()
@tracking_uri_option
@click.option(
    "--experiment", default="keras16", show_default=True, help="MLflow experiment."
)
@click.option(
    "--run-name",
    metavar="NAME",
    help="Of the MLflow run and the model file.  [default: such as "
    "cnn-mnist5k-16-adam-s0]",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=pathlib.Path),
    metavar="FOLDER",
    default=_model_file.DEFAULT_FOLDER,
    show_default=True,
    help="Where the trained model goes, as RUN_NAME-TIME.keras.",
)
@click.option(
    "--monitor",
    is_flag=True,
    help="After each epoch record gradients, lost updates and second moments of each "
    "layer; say what is wrong.",
)
@json_option
@click.option("--quiet", is_flag=True, help="Show no progress.")
def command(
    tracking_uri: str | None,
    experiment: str,
    run_name: str | None,
    output: pathlib.Path,
    monitor: bool,
    as_json: bool,
    quiet: bool,
    **fields: Any,
) -> None:
    """Trains a model and records the run in MLflow.

    The model is saved first, then everything is recorded, then summed up in a table.
    Ctrl-C or SIGTERM stops after the step in hand and keeps the weights so far; a
    second one aborts at once.

    Exit codes: 0 trained and recorded; 1 the training failed (NaN, infinity), or the
    model or the record could not be kept whole; 2 input that cannot be used; 130
    stopped by Ctrl-C, 143 by SIGTERM.

    \b
    Example:
      keras16 train --precision 16 --model cnn --dataset mnist5k
    """
    run = Run(**fields)
    with results_only(), StopOnSignal() as stop:
        job = Job(run, tracking_uri, experiment, run_name or run.name, output)
        job.train(stop, quiet, monitor)
    click.echo(job.as_json() if as_json else job.as_text())
    raise SystemExit(job.exit_code(stop))


class Job:
    """One run from its options to its record.

    Attributes:
        result: What the run came to.
        model_path: The saved model; None where it failed or could not be saved.
        tracked: The record; None before the model is built.
        problem: Why the model could not be saved as it was asked for, or "".
        told: The trouble with the store that the user was told of already.
    """

    def __init__(
        self,
        run: Run,
        tracking_uri: str | None,
        experiment: str,
        run_name: str,
        output: pathlib.Path,
    ) -> None:
        from keras16.store import store_uri

        self.run = run
        self.store = store_uri(tracking_uri)
        self.experiment = experiment
        self.run_name = run_name
        self.output = ready(output, "the model", "--output")
        self.result: Result
        self.model_path: pathlib.Path | None = None
        self.tracked: Tracked
        self.problem = ""
        self.told = ""

    def train(self, stop: StopOnSignal, quiet: bool, monitor: bool) -> None:
        """Trains, then saves the model, then records what there is to record."""
        with contextlib.ExitStack() as record:
            with _progress.observer(quiet) as progress:
                import_tensorflow()
                from keras16 import training

                both = _progress.Both(Recorder(self, record, quiet), progress)
                self.result = training.fit(
                    self.run, observer=both, stop=stop.event, monitor=monitor
                )
            self._save()
            self.tracked.finished(self.result, self.model_path)
        self._say_what_went_wrong()

    def open_record(
        self, record: contextlib.ExitStack, run: Run, model: keras.Model
    ) -> None:
        """Begins the record: no mistake of the user's shall leave one behind.

        Args:
            record: Ends the record.
            run: Its defaults filled in.
            model: Built.
        """
        from keras16 import tracking

        self.tracked = record.enter_context(
            tracking.track(run, self.store, self.experiment, self.run_name)
        )
        self.tracked.started(model)
        self.told = self.tracked.problem
        if self.told:
            say(f"{self.told} The training goes on.")

    def as_text(self) -> str:
        """The summary table, the verdict, and where to find model and run."""
        from keras16.report import table
        from keras16.report.verdict import verdict

        model = self.model_path or "not saved"
        return "\n".join(
            (
                rendered(table.summary(self.result)),
                verdict(self.result),
                *self.result.findings,
                f"Model: {model}",
                self.tracked.where,
            )
        )

    def as_json(self) -> str:
        """The object that `--json` prints, on one line; NaN and infinity are null."""
        path, audit = self.model_path, self.result.audit
        return json.dumps(
            plain(
                {
                    **self.result.run.fields(),
                    "run_id": self.tracked.run_id or None,
                    "run_name": self.run_name,
                    **{name: getattr(self.result, name) for name in RESULT_FIELDS},
                    "file_bytes": path.stat().st_size if path else None,
                    "wide_tensors": audit.wide_tensors if audit else None,
                    "history": [vars(epoch) for epoch in self.result.epochs],
                    "monitor": [
                        dataclasses.asdict(one) for one in self.result.observations
                    ],
                    "findings": self.result.findings,
                    "model_file": str(path) if path else None,
                    "tracking_uri": self.store,
                    "recorded": not self.tracked.problem,
                }
            )
        )

    def exit_code(self, stop: StopOnSignal) -> int:
        """See the command's help."""
        if self.result.status == "killed":
            return stop.exit_code
        kept = not self.problem and not self.tracked.problem
        return 0 if kept and self.result.status == "finished" else 1

    def _save(self) -> None:
        if self.result.status == "failed":
            return  # its weights are NaN
        try:
            self.model_path = self._saved_in(self.output)
        except OSError as error:
            self._save_elsewhere(str(error.strerror or error))

    def _save_elsewhere(self, reason: str) -> None:
        try:
            self.model_path = self._saved_in(_model_file.spare_folder())
        except OSError:
            self.problem = f"the model could not be saved: {reason}."
            return
        self.problem = f"{self.output} took no model ({reason}): see {self.model_path}."

    def _saved_in(self, folder: pathlib.Path) -> pathlib.Path:
        return _model_file.save(self.result.model, self.run_name, folder)

    def _say_what_went_wrong(self) -> None:
        failed = self.result.status == "failed"
        cause = f"the training failed: {self.result.cause}" if failed else ""
        for line in (cause, self.problem, self.tracked.problem):
            if line and line != self.told:
                say(line)


class Recorder:
    """Opens the record of a job when its training starts, and tells it the epochs."""

    def __init__(self, job: Job, record: contextlib.ExitStack, quiet: bool) -> None:
        self.job = job
        self.record = record
        self.quiet = quiet

    def started(self, run: Run, model: keras.Model, steps_per_epoch: int) -> None:
        """The model is built, the data are loaded: nothing is left to refuse."""
        from keras16 import hardware

        expectation = hardware.expectation(run.precision)
        if expectation and not self.quiet:
            say(expectation)
        if (
            run.rounding != "nearest"
            and precision.get(run.precision).variable_dtype == "float32"
        ):
            say(
                f"--rounding {run.rounding} does nothing at {run.precision}, whose "
                "weights are float32."
            )
        self.job.open_record(self.record, run, model)

    def stepped(self, epoch: int, step: int, loss: float) -> None:
        """Steps are not recorded."""

    def epoch_ended(self, record: Epoch, model: keras.Model) -> None:
        """An epoch is trained and validated."""
        self.job.tracked.epoch(record)

    def monitored(self, observation: Observation) -> None:
        """The monitor has seen a step."""
        self.job.tracked.monitored(observation)
