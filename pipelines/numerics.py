"""`keras16 numerics`: measures every part's error against float64."""

from __future__ import annotations

import json
import pathlib
from typing import TYPE_CHECKING

import click

from keras16.errors import UserError

from ._options import json_option
from ._output import require_folder
from ._quiet import import_tensorflow, results_only

if TYPE_CHECKING:
    from keras16.exactness.page import Line


@click.command(name="numerics")
@click.option(
    "--part",
    metavar="WORD",
    default="",
    help="Only parts whose name holds this, such as softmax.",
)
@click.option(
    "--output",
    metavar="FILE.md",
    type=click.Path(dir_okay=False, writable=True, path_type=pathlib.Path),
    help="Write the page of the documentation there.",
)
@json_option
def command(part: str, output: pathlib.Path | None, as_json: bool) -> None:
    """Measures every part's error against float64.

    Each part is run as a plain graph and compiled by XLA, and so is stock Keras in
    float16 where it has an equal. All of it takes about three minutes on two cores.

    Exit codes: 0 every part keeps its bound, in pure 16 bits; 1 one does not; 2 input
    that cannot be used.

    \b
    Example:
      keras16 numerics --part softmax
    """
    require_folder("--output", output)
    with results_only():
        lines = measured(part)
    from keras16.exactness import page

    click.echo(json.dumps(page.objects(lines)) if as_json else page.text(lines))
    if output is not None:
        output.write_text(page.markdown(lines))
    broken = [line.row.part for line in lines if not line.holds]
    if broken:
        click.echo(f"keras16: out of bounds: {', '.join(broken)}.", err=True)
    raise SystemExit(1 if broken else 0)


def measured(part: str) -> list[Line]:
    """What was found for the parts whose name holds a word."""
    import_tensorflow()
    import numpy as np

    from keras16.exactness import page, rows

    found = list(rows(part))
    if not found:
        raise UserError(f"no part has {part!r} in its name.")
    with np.errstate(all="ignore"):  # stock results are infinite, and that is the point
        return [page.measured(row) for row in found]
