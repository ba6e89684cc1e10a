"""`keras16 tune-epsilon`: which epsilons train as well as float32."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pathlib
from typing import TYPE_CHECKING, Any

import click

from keras16.study import Run, short_name

from ._options import Count, Number, json_option, run_options, tracking_uri_option
from ._output import require_figure, say
from ._quiet import (
    LEVEL,
    import_tensorflow,
    import_tensorflow_in_child,
    results_only,
)
from ._stopping import StopOnSignal
from ._table import rendered

if TYPE_CHECKING:
    from keras16.tracking import Tracked
    from keras16.tuning import Sweep, Trial

STOPPING = b"\nkeras16: stopping; what was trained so far is kept. Again to abort.\n"


class Epsilons(click.ParamType):
    """Positive numbers with commas between them."""

    name = "list"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, ...]:
        """The numbers, rising, each once; or click's usage error."""
        number = Number(min=0, min_open=True)
        return tuple(
            sorted({number.convert(x.strip(), param, ctx) for x in value.split(",")})
        )


@click.command(name="tune-epsilon")
@click.option(
    "--epsilons", type=Epsilons(), help="The grid itself, such as 1e-8,1e-6,1e-4."
)
@click.option(
    "--from",
    "lowest",
    type=Number(min=0, min_open=True),
    default=1e-10,
    show_default=True,
    help="Smallest epsilon of the grid.",
)
@click.option(
    "--to",
    "highest",
    type=Number(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Largest epsilon of the grid.",
)
@click.option(
    "--per-decade",
    type=Count(1, 10),
    default=1,
    show_default=True,
    help="Epsilons between two powers of ten.",
)
@click.option(
    "--seeds",
    type=Count(1, 100),
    default=3,
    show_default=True,
    help="Runs of each epsilon, with seeds 0, 1, ...",
)
@click.option(
    "--margin",
    type=Number(min=0, max=100),
    default=0.5,
    show_default=True,
    help="Points of accuracy below float32's mean that still count as well.",
)
@run_options(
    "precision",
    "model",
    "dataset",
    "optimizer",
    "learning_rate",
    "momentum",
    "weight_decay",
    "rounding",
    "schedule",
    "augmentation",
    "epochs",
    "batch_size",
    "validation",
)
@click.option(
    "--figure",
    type=click.Path(dir_okay=False, path_type=pathlib.Path),
    metavar="FILE",
    help="Where the figure goes too, as .png, .pdf or .svg.",
)
@tracking_uri_option
@click.option(
    "--experiment", default="keras16", show_default=True, help="MLflow experiment."
)
@json_option
@click.option("--quiet", is_flag=True, help="Show no progress.")
def command(
    epsilons: tuple[float, ...] | None,
    lowest: float,
    highest: float,
    per_decade: int,
    seeds: int,
    margin: float,
    figure: pathlib.Path | None,
    tracking_uri: str | None,
    experiment: str,
    as_json: bool,
    quiet: bool,
    **fields: Any,
) -> None:
    """Finds the epsilons that train as well as float32.

    Trains float32 with the optimizer's own epsilon, then every epsilon of the grid at
    --precision, with the same seeds. An epsilon is as good where no seed diverges and
    its mean validation accuracy is at most --margin points below float32's. The test
    set is not looked at. MLflow gets one run for the sweep, and one inside it for
    each training.

    Exit codes: 0 a range was found; 1 no epsilon is as good, or the record could not
    be kept whole; 2 input that cannot be used; 130 stopped by Ctrl-C, 143 by SIGTERM:
    what was trained until then is shown and recorded.

    \b
    Example:
      keras16 tune-epsilon --precision 16-plain --model dnn --epochs 3
    """
    from keras16 import tuning
    from keras16.store import store_uri

    grid = epsilons or tuning.grid(lowest, highest, per_decade)
    plan = tuning.Sweep(Run(**fields), grid, tuple(range(seeds)), margin / 100)
    with results_only(), StopOnSignal(STOPPING) as stop:
        job = Job(plan, store_uri(tracking_uri), experiment, figure, quiet)
        job.run(stop)
    click.echo(job.as_json() if as_json else job.as_text())
    raise SystemExit(job.exit_code(stop))


class Job:
    """One sweep from its plan to its record.

    Attributes:
        sweep: With the trials so far.
        tracked: The record of the sweep; None before the first trial.
    """

    def __init__(
        self,
        plan: Sweep,
        uri: str,
        experiment: str,
        figure: pathlib.Path | None,
        quiet: bool,
    ) -> None:
        require_figure(figure)
        self.sweep = plan
        self.store, self.experiment = uri, experiment
        self.figure, self.quiet = figure, quiet
        self.tracked: Tracked | None = None
        self.problem = ""

    @property
    def title(self) -> str:
        """Such as "adam at precision 16: dnn on mnist5k"."""
        run = self.sweep.run
        model, data = short_name(run.model), short_name(run.dataset)
        return f"{run.optimizer} at precision {run.precision}: {model} on {data}"

    def run(self, stop: StopOnSignal) -> None:
        """Trains, recording each trial as it ends, then records what it came to."""
        from keras16 import tuning

        asked_for_all = LEVEL in os.environ
        before = import_tensorflow if asked_for_all else import_tensorflow_in_child
        import_tensorflow()  # the record's reports import Keras here, too
        start = functools.partial(tuning.Worker, before=before)
        with contextlib.ExitStack() as record:
            for sweep in tuning.sweep(self.sweep, stop=stop.event, start=start):
                self.sweep = sweep
                self._told((*sweep.baseline, *sweep.trials)[-1], record)
            if self.tracked is not None:
                self._sum_up(self.tracked, killed=stop.event.is_set())
        self._draw()

    def as_text(self) -> str:
        """Table, verdict and where to find the record."""
        if self.tracked is None:
            return "Nothing was trained."
        from keras16.report import epsilons

        lines = [rendered(epsilons.table(self.sweep), epsilons.HEADER)]
        lines += [epsilons.verdict(self.sweep), self.tracked.where]
        return "\n".join(lines)

    def as_json(self) -> str:
        """The object that `--json` prints, on one line."""
        from keras16.report import epsilons

        run_id = self.tracked.run_id if self.tracked else ""
        asked = {**self.sweep.run.fields(), "tracking_uri": self.store}
        return json.dumps(
            {**asked, "run_id": run_id or None, **epsilons.plain(self.sweep)}
        )

    def exit_code(self, stop: StopOnSignal) -> int:
        """See the command's help."""
        if stop.event.is_set():
            return stop.exit_code
        recorded = self.tracked is not None and not self.tracked.problem
        kept = recorded and not self.problem
        return 0 if kept and self.sweep.range() is not None else 1

    def _told(self, trial: Trial, record: contextlib.ExitStack) -> None:
        from keras16 import tracking

        if self.tracked is None:
            name = f"tune-epsilon-{self.sweep.run.name.rpartition('-')[0]}"
            self.tracked = record.enter_context(
                tracking.track(self.sweep.run, self.store, self.experiment, name)
            )
        if not self.quiet:
            click.echo(self._line(trial), err=True)
        if not self.tracked.run_id:
            return
        with tracking.track(
            trial.run,
            self.store,
            self.experiment,
            f"{trial.run.name}-epsilon-{trial.run.epsilon:g}",
            parent=self.tracked.run_id,
        ) as child:
            tracking.record_trial(child, trial)

    def _line(self, trial: Trial) -> str:
        """One trial in one line."""
        done = len(self.sweep.baseline) + len(self.sweep.trials)
        whole = len(self.sweep.seeds) * (1 + len(self.sweep.epsilons))
        run = trial.run
        came_to = (
            f"val_accuracy {100 * trial.val_accuracy:.2f} %"
            if trial.val_accuracy is not None
            else f"diverged: {trial.cause.partition(':')[0]}"
        )
        return (
            f"{done}/{whole} precision {run.precision}, epsilon {run.epsilon:g}, "
            f"seed {run.seed}: {came_to}"
        )

    def _sum_up(self, tracked: Tracked, killed: bool) -> None:
        from keras16.report import epsilons

        tags = {"mlflow.note.content": epsilons.verdict(self.sweep)}
        tracked.told(epsilons.metrics(self.sweep), tags)
        tracked.files(lambda folder: epsilons.write(self.sweep, self.title, folder))
        tracked.status = "KILLED" if killed else "FINISHED"
        if tracked.problem:
            say(tracked.problem)

    def _draw(self) -> None:
        if self.figure is None or self.tracked is None:
            return
        from keras16.report import epsilons

        try:
            epsilons.figure(self.sweep, self.title).savefig(self.figure)
        except OSError as error:
            self.problem = f"{self.figure} can't be written: {error.strerror or error}."
            say(self.problem)
