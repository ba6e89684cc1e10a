"""`keras16 bench`: training steps of one net side by side."""

from __future__ import annotations

import json
import pathlib
from typing import TYPE_CHECKING, Any

import click

from keras16.errors import UserError
from keras16.study import Run

from ._options import Count, Number, Part, Several, json_option, run_options
from ._output import require_figure, say
from ._quiet import import_tensorflow, results_only
from ._stopping import StopOnSignal
from ._table import rendered

if TYPE_CHECKING:
    from keras16.benchmark.result import Outcome

STOPPING = b"\nkeras16: stopping; what was measured so far is shown. Again to abort.\n"
OPTIMIZERS = ("adam", "sgd")


@click.command(name="bench")
@click.option(
    "--models",
    "--model",
    "models",
    type=Several(Part("models"), "model"),
    metavar="NAMES",
    default="cnn",
    show_default=True,
    help="One or more, with commas: each as `keras16 train --model` takes it.",
)
@click.option(
    "--batch-sizes",
    "--batch-size",
    "batch_sizes",
    type=Several(Count(min=1), "number"),
    default="128",
    show_default=True,
    help="Examples a step; one or more, with commas.",
)
@click.option(
    "--contenders",
    metavar="NAMES",
    help="With commas; a beginning stands for all that begin so, such as keras16, "
    "keras- or torch. keras16-16 is always there.  [default: all]",
)
@click.option(
    "--optimizer",
    type=click.Choice(OPTIMIZERS),
    default="adam",
    show_default=True,
    help="How weights are updated; sgd has a momentum of 0.9.",
)
@run_options("seed")
@click.option(
    "--shape",
    type=Several(Count(min=1), "number"),
    default="32,32,3",
    show_default=True,
    help="Of an example of random pixels.",
)
@click.option(
    "--classes",
    type=Count(min=2),
    default=10,
    show_default=True,
    help="Of random pixels.",
)
@click.option(
    "--dataset",
    type=Part("datasets"),
    help="Use this one in place of random pixels, as `keras16 train` does.",
)
@click.option(
    "--rounds",
    type=Count(min=1),
    default=11,
    show_default=True,
    help="Turns of each contender, in another order each time.",
)
@click.option(
    "--seconds",
    type=Number(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Of a turn.",
)
@click.option(
    "--cores",
    type=Count(min=1),
    help="That every contender is pinned to.  [default: all]",
)
@click.option(
    "--figure",
    type=click.Path(dir_okay=False, path_type=pathlib.Path),
    metavar="FILE",
    help="Where the figure goes, as .png, .pdf or .svg.",
)
@json_option
@click.option("--quiet", is_flag=True, help="Show no progress.")
def command(
    models: tuple[str, ...],
    batch_sizes: tuple[int, ...],
    contenders: str | None,
    optimizer: str,
    seed: int,
    shape: tuple[int, ...],
    classes: int,
    dataset: str | None,
    rounds: int,
    seconds: float,
    cores: int | None,
    figure: pathlib.Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Times training steps side by side: keras16, stock Keras, PyTorch.

    Each contender trains the same net from the same weights in a process of its own,
    pinned to the same cores. They take turns in rounds, of which ratios and medians
    are taken, with 95 % intervals (of fewer than 6 rounds the least and the
    greatest). One that can't run is told, and the others go on.
    Beside them stand the machine's own rates, measured in the same rounds. All
    contenders at once hold 10 GB of memory, with a large net more.

    Exit codes: 0 measured; 1 keras16-16 itself could not run, or the figure could not
    be written; 2 input that cannot be used, be it one net of several; 130 stopped by
    Ctrl-C, 143 by SIGTERM: what was measured until then is shown.

    \b
    Example:
      keras16 bench --models resnet20 --batch-sizes 32,128 --contenders keras
    """
    from keras16.benchmark import plan

    entered = plan.chosen(contenders)
    runs = [
        Run(
            model=model,
            dataset=dataset or Run.dataset,
            optimizer=optimizer,
            momentum=0.9 if optimizer == "sgd" else None,
            schedule="constant",
            batch_size=batch_size,
            validation=0.0,
            seed=seed,
        )
        for model in dict.fromkeys(models)
        for batch_size in dict.fromkeys(batch_sizes)
    ]
    require_figure(figure)
    with results_only(), StopOnSignal(STOPPING) as stop:
        from keras16.benchmark import contest

        rules = contest.Rules(
            rounds,
            seconds,
            contest.cores(cores),
            before=import_tensorflow,
            stop=stop.event,
            tell=(lambda line: None) if quiet else say,
        )
        pixels = None if dataset else shape
        outcomes, refused = _run(runs, entered, rules, pixels, classes)
        problem = _drawn(outcomes, figure)
    told = _as_json(outcomes, refused, seconds) if as_json else _as_text(outcomes)
    click.echo(told)
    for line in dict.fromkeys(refused.values()):
        say(line)
    if stop.event.is_set():
        raise SystemExit(stop.exit_code)
    failed = any(one.reference.problem for one in outcomes)
    raise SystemExit(2 if refused else 1 if problem or failed else 0)


def _run(
    runs: list[Run], entered: Any, rules: Any, shape: Any, classes: int
) -> tuple[list[Outcome], dict[str, str]]:
    """One outcome after another, as many as there is time for.

    Returns:
        The outcomes, and why a net was refused, by its title: the others go on.
    """
    from keras16.benchmark import contest, plan

    outcomes: list[Outcome] = []
    refused: dict[str, str] = {}
    for run in runs:
        if rules.stop.is_set():
            break
        try:
            outcomes.append(contest.run(run, entered, rules, shape, classes))
        except contest.Stopped:
            break
        except UserError as error:
            if len(runs) == 1:
                raise
            refused[plan.title(run)] = str(error)
    return outcomes, refused


def _drawn(outcomes: list[Outcome], figure: pathlib.Path | None) -> str:
    """Draws the figure; returns why it could not be written, or ""."""
    if figure is None or not outcomes:
        return ""
    from keras16.report import benchmark

    try:
        benchmark.figure(outcomes).savefig(figure)
    except OSError as error:
        problem = f"{figure} can't be written: {error.strerror or error}."
        say(problem)
        return problem
    return ""


def _as_text(outcomes: list[Outcome]) -> str:
    """A table and notes for each net and batch size, then how cost grows."""
    from keras16.report import benchmark

    if not outcomes:
        return "Nothing was measured."
    lines = []
    for one in outcomes:
        lines += [f"\n{one.title}"]
        lines += [_rendered(benchmark.HEADER, benchmark.table(one))]
        lines += benchmark.notes(one)
    if len(outcomes) > 1:
        titles = ("step", *(one.title for one in outcomes))
        lines += [_rendered(titles, benchmark.growth(outcomes))]
    return "\n".join(lines)


def _as_json(outcomes: list[Outcome], refused: dict[str, str], seconds: float) -> str:
    from keras16 import hardware
    from keras16.report import benchmark

    return json.dumps(
        {
            "machine": hardware.fingerprint(),
            "seconds_a_turn": seconds,
            "nets": [benchmark.plain(one) for one in outcomes],
            "refused": refused,
        }
    )


def _rendered(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return rendered(rows, header, figures=True, width=140)
