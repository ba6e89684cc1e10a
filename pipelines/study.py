"""`keras16 study`: studies of the papers' claims, run and reported."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from keras16.errors import UserError

from . import _recipes
from ._options import Count, Several, json_option, tracking_uri_option
from ._output import ready
from ._quiet import results_only
from ._stopping import StopOnSignal

if TYPE_CHECKING:
    from keras16.results import Record
    from keras16.study import Study

FOLDER = pathlib.Path("mlruns")
STOPPING = b"\nkeras16: stopping after the steps in hand. Again to abort.\n"


class StudyName(click.ParamType):
    """A study by its file name in pipelines/studies, or the user's own file."""

    name = "study"

    def convert(self, value: Any, param: Any, ctx: Any) -> Study:
        """The study, or `UserError`."""
        return _recipes.load(value)

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list:
        """The studies there are, then files."""
        found = [n for n in _recipes.names() if n.startswith(incomplete)]
        items = [click.shell_completion.CompletionItem(name) for name in found]
        return items or [click.shell_completion.CompletionItem(incomplete, type="file")]


def study_argument(function: Any) -> Any:
    """NAME, a study."""
    return click.argument("study", metavar="NAME", type=StudyName())(function)


def scale_options(function: Any) -> Any:
    """What makes a study smaller; a report says that it was."""
    for option in (
        click.option(
            "--arms",
            type=Several(click.STRING, "arm"),
            metavar="NAMES",
            help="Only these arms, with commas.",
        ),
        click.option(
            "--models",
            type=Several(click.STRING, "model"),
            metavar="NAMES",
            help="Only the rows of these models, or of these names, with commas.",
        ),
        click.option(
            "--epochs",
            type=Count(min=1),
            help="Of every run, instead of the study's.",
        ),
        click.option(
            "--seeds",
            type=Count(min=1),
            help="Of every row and arm, instead of the study's.",
        ),
    ):
        function = option(function)
    return function


@click.group(name="study")
def command() -> None:
    """Runs the studies that test the papers' claims, and reports them.

    A study is a table of trainings: rows (a net, an optimizer) by arms (precisions) by
    seeds. Each runs in a process of its own; what is over is never run again, and what
    was interrupted goes on after its last epoch. NAME is one of `keras16 study list`,
    or a FILE.py of your own with a STUDY; paths in it start where the command is given.

    \b
    Example:
      keras16 study run smoke
    """


@command.command(name="list")
@json_option
def list_command(as_json: bool) -> None:
    """Lists the studies and what they ask.

    \b
    Example:
      keras16 study list
    """
    studies = [_recipes.load(name) for name in _recipes.names()]
    if as_json:
        click.echo(json.dumps([_described(study) for study in studies]))
        return
    from ._table import rendered

    rows = [(s.name, str(len(s.runs())), s.question) for s in studies]
    click.echo(rendered(rows, ("study", "runs", "question")))


def _described(study: Study) -> dict[str, Any]:
    return {
        "name": study.name,
        "title": study.title,
        "question": study.question,
        "rows": [row.name for row in study.rows],
        "arms": [arm.name for arm in study.arms],
        "seeds": study.seeds,
        "runs": len(study.runs()),
    }


@command.command(name="run")
@study_argument
@scale_options
@click.option(
    "--workers",
    type=Count(min=1),
    default=1,
    show_default=True,
    help="Runs side by side. More than one spoils the epoch times.",
)
@click.option(
    "--keep-models",
    is_flag=True,
    help="Save the trained models, model.keras in each run's folder of mlruns/runs.",
)
@click.option(
    "--retry-failed", is_flag=True, help="Train again what diverged or crashed."
)
@tracking_uri_option
@json_option
@click.option("--quiet", is_flag=True, help="Show no progress.")
def run_command(
    study: Study,
    seeds: int | None,
    epochs: int | None,
    models: tuple[str, ...] | None,
    arms: tuple[str, ...] | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Trains the runs of a study that are not over yet, then reports.

    NAME is one of `keras16 study list`, or a FILE.py of your own.

    Everything is kept in mlruns/: what each run came to in mlruns/runs, the report in
    mlruns/studies/NAME, and the MLflow records. Kill it at any moment and run it again:
    it goes on after the last epoch of each run.

    Exit codes: 0 all runs are over (those that diverged or crashed are results, too); 1
    the record in MLflow is not whole, or a model could not be kept; 2 input that cannot
    be used (runs that can be trained are trained first); 130 stopped by Ctrl-C, 143 by
    SIGTERM.

    \b
    Example:
      keras16 study run mnist_dnn --seeds 3 --epochs 2
    """
    from keras16.execution.child import Stopped

    from ._study_job import Job

    scale = {
        "seeds": seeds,
        "epochs": epochs,
        "models": models or (),
        "arms": arms or (),
    }
    with results_only(), StopOnSignal(STOPPING) as stop:
        try:
            job = Job(study, scale, stop, **options)
        except Stopped:
            raise SystemExit(stop.exit_code) from None
        job.train()
    click.echo(job.as_json() if as_json else job.as_text())
    raise SystemExit(job.exit_code())


@command.command(name="status")
@study_argument
@scale_options
@json_option
def status_command(study: Study, as_json: bool, **scale: Any) -> None:
    """Counts the runs of a study: finished, failed, running, pending.

    Without options it is the study as it was last run. What is over under another
    version of keras16 alone is pending.

    \b
    Example:
      keras16 study status smoke
    """
    from keras16.execution.ledger import Ledger

    runs = _as_last_run(study, scale).runs()
    counts, other_code = Ledger().counts(runs), Ledger().of_other_code(runs)
    if as_json:
        click.echo(json.dumps({"study": study.name, **counts}))
        return
    words = ", ".join(f"{counts[name]} {name}" for name in counts if name != "total")
    click.echo(f"{study.name}: {counts['total']} runs: {words}.")
    if other_code:
        click.echo(
            f"{other_code} of them are over under another version of keras16: "
            "`study report` tells of them, `study run` trains them again."
        )


@command.command(name="report")
@study_argument
@scale_options
@click.option(
    "--from",
    "source",
    type=click.Path(dir_okay=False, path_type=pathlib.Path),
    metavar="FILE.csv",
    help="Report the runs of a file that `study report` wrote.",
)
@click.option(
    "--tracking-uri",
    metavar="URI",
    help="Report what an MLflow store holds, of however many machines.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=pathlib.Path),
    metavar="FOLDER",
    help="Where the files go.  [default: mlruns/studies/NAME]",
)
@json_option
def report_command(
    study: Study,
    source: pathlib.Path | None,
    tracking_uri: str | None,
    output: pathlib.Path | None,
    as_json: bool,
    **scale: Any,
) -> None:
    """Writes the report of a study: Markdown, HTML, LaTeX, figures and CSV.

    Of the study as it was last run here, whether or not all runs are over; with --from
    or --tracking-uri, of all runs that are there.

    \b
    Example:
      keras16 study report smoke
      keras16 study report mnist_dnn --from docs/results/mnist_dnn.csv
    """
    from keras16 import results, tracking
    from keras16.report import study as report
    from keras16.store import store_uri

    from ._study_job import from_ledger, written

    if source and tracking_uri:
        raise click.UsageError("give --from or --tracking-uri, not both.")
    if source or tracking_uri:
        _refuse_scale(scale, "--from" if source else "--tracking-uri")
    if tracking_uri:
        records = tracking.records(study.name, store_uri(tracking_uri))
    elif source:
        records = results.read_csv(source)
    else:
        records = from_ledger(study, _as_last_run(study, scale))
    _refuse_nothing(study, records, source or tracking_uri)
    folder = output or FOLDER / "studies" / study.name
    ready(folder, "the report", "--output")
    with results_only():
        paths = written(study, records, folder)
    if as_json:
        click.echo(json.dumps(report.summary(study, records)))
        return
    click.echo("\n".join(report.lines(study, records)))
    click.echo("Written: " + ", ".join(str(path) for path in paths))


def _refuse_nothing(
    study: Study, records: Sequence[Record], source: pathlib.Path | str | None
) -> None:
    """A report of no run would overwrite another, and say nothing."""
    if any(record.study == study.name for record in records):
        return
    others = ", ".join(sorted({record.study for record in records}))
    if others:
        raise UserError(
            f"{source} holds the runs of {others}, and none of {study.name}."
        )
    raise UserError(
        f"no run of study {study.name} is over {f'in {source}' if source else 'here'}: "
        f"`keras16 study run {study.file or study.name}` trains them."
    )


def _refuse_scale(scale: dict[str, Any], source: str) -> None:
    """What is read tells by itself how the study was scaled."""
    if given := [name for name, value in scale.items() if value]:
        raise click.UsageError(
            f"{source} reports all runs that it holds: leave out --{given[0]}."
        )


def _as_last_run(study: Study, scale: dict[str, Any]) -> Study:
    """The study scaled as the options say, or else as it was last run."""
    from ._study_job import last_scaled

    given = {name: value for name, value in scale.items() if value}
    return study.scaled(**given) if given else last_scaled(study)
