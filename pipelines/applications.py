"""`keras16 applications`: what every model of keras.applications becomes in 16 bits."""

from __future__ import annotations

import concurrent.futures
import math
import multiprocessing
import pathlib
from typing import TYPE_CHECKING, Any

import click

from keras16.applications import names as known_names
from keras16.errors import UserError

from ._options import Count, Number, json_option
from ._output import require_folder
from ._quiet import import_tensorflow, results_only

if TYPE_CHECKING:
    from keras16.sweep import Row

TITLES = (
    "model",
    "pixels",
    "parameters",
    "error",
    "weights alone",
    "layers rounded",
    "own statistics",
    "images",
    "wide of tensors",
    "reloads",
    "seconds",
)
INTRODUCTION = """\
# keras.applications in pure 16 bits

Written by `keras16 applications --examples {examples} --output FILE`. Each model has
random weights and the smallest square input that it accepts. One float32 pass over
random images sets its batch-norm statistics; then `keras16.convert` makes its twin.

- **error**: mean absolute difference of the twin's logits from the original's, as a
  share of their spread over other images (dropout off).
- **weights alone**: the same of a float32 model with the twin's weights. Random nets
  magnify any rounding: of a deep one, no 16-bit weights give the same logits.
- **layers rounded**: the same with each layer's output rounded once, besides: what no
  net that keeps 16 bits can avoid. Measured where the error is above 10 %.
- **own statistics**: the same, the twin's statistics set by a pass of its own.
- **images**: in the pass and in the comparison: {examples}, and as long as the error is
  above 10 % four times as many, up to 2,048. Deep random nets hang on their statistics
  so much that those of a few images are not enough to compare by.
- **wide of tensors**: floating tensors of the compiled training step (Adam, sparse
  categorical cross-entropy, accuracy) wider than 16 bits.
- **reloads**: saved and loaded, the twin gives the very same logits.
"""


@click.command(name="applications")
@click.option(
    "--names",
    metavar="NAMES",
    help="Of the models, separated by commas.  [default: all]",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=pathlib.Path),
    metavar="FILE",
    help="Write the table there, in Markdown.",
)
@click.option(
    "--bound",
    type=Number(min=0),
    default=0.1,
    show_default=True,
    help="The largest error that passes.",
)
@click.option(
    "--examples",
    type=Count(min=2),
    default=128,
    show_default=True,
    help="Images in each pass, to begin with: four times as many, up to 2,048, as long "
    "as the error is above the bound.",
)
@json_option
def command(
    names: str | None,
    output: pathlib.Path | None,
    bound: float,
    examples: int,
    as_json: bool,
) -> None:
    """Converts the models of keras.applications to 16 bits and checks the twins.

    Each is compared with its float32 original, its compiled training step audited,
    saved and loaded again. A model that fails is told and the next one follows.

    Exit codes: 0 all pass; 1 one does not; 2 input that cannot be used.

    \b
    Example:
      keras16 applications --names MobileNetV2,ResNet50
    """
    require_folder("--output", output)
    chosen = _chosen(names)
    rows = []
    with results_only():
        for name in chosen:
            rows.append(_row_of_a_process(name, examples, bound))
            click.echo(_line(rows[-1], bound), err=True)
            if output is not None:  # after each: a long sweep may be interrupted
                output.write_text(markdown(rows, examples))
    click.echo(_as_json(rows, bound) if as_json else _table(rows))
    raise SystemExit(0 if all(row.passes(bound) for row in rows) else 1)


def _chosen(names: str | None) -> list[str]:
    if names is None:
        return list(known_names())
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in chosen if name not in known_names()]
    if unknown or not chosen:
        raise UserError(
            f"keras.applications has no {', '.join(unknown) or 'model of no name'}: "
            f"there are {', '.join(known_names())}."
        )
    return chosen


def _row_of_a_process(name: str, examples: int, bound: float) -> Row:
    """The row, from a process of its own: TensorFlow keeps the graphs it has traced.

    Twenty models in one process held 22 GB.
    """
    from keras16.sweep import Row

    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context) as process:
        try:
            return process.submit(_row, name, examples, bound).result()
        except concurrent.futures.process.BrokenProcessPool:
            return Row(name, problem="its process was ended: is there enough memory?")


def _row(name: str, examples: int, bound: float) -> Row:
    """The row of a model; one of nothing but the problem where it fails."""
    with results_only():
        import_tensorflow()
        from keras16 import sweep, user_code

        try:
            return sweep.row(name, examples=examples, bound=bound)
        except Exception as error:  # of any kind: the others are tried all the same
            return sweep.Row(name, problem=user_code.reason(error))


def _line(row: Row, bound: float) -> str:
    verdict = "passes" if row.passes(bound) else f"FAILS {row.problem}"
    return f"keras16: {row.name}: {verdict}, error {row.error:.2%}"


def cells(row: Row) -> tuple[str, ...]:
    """A row of the table, as text."""
    if row.problem:
        return (row.name, *("",) * 7, row.problem, "", "")
    return (
        row.name,
        str(row.side),
        f"{row.parameters:,}",
        f"{row.error:.2%}",
        f"{row.weights_error:.2%}",
        "-" if math.isnan(row.layers_error) else f"{row.layers_error:.2%}",
        f"{row.own_error:.2%}",
        f"{row.examples:,}",
        f"{row.wide} of {row.tensors:,}",
        "yes" if row.reloads else "no",
        f"{row.seconds:.0f}",
    )


def markdown(rows: list[Row], examples: int) -> str:
    """The page of documentation: the models by name.

    Args:
        rows: In any order.
        examples: In each pass.
    """
    from keras16.report.table import markdown_table

    rows = sorted(rows, key=lambda row: row.name)
    introduction = INTRODUCTION.format(examples=examples)
    return f"{introduction}\n{markdown_table(TITLES, [cells(row) for row in rows])}"


def _table(rows: list[Row]) -> str:
    import io

    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    for number, title in enumerate(TITLES):
        table.add_column(title, justify="right" if number else "left")
    for row in rows:
        table.add_row(*cells(row))
    text = io.StringIO()
    Console(file=text, width=120, highlight=False, markup=False).print(table)
    return text.getvalue().rstrip("\n")


def _as_json(rows: list[Row], bound: float) -> str:
    import dataclasses
    import json

    found: list[dict[str, Any]] = [
        {**dataclasses.asdict(row), "passes": row.passes(bound)} for row in rows
    ]
    return json.dumps(found).replace("NaN", "null")
