"""The table of errors as text and as a page of the documentation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

from keras16 import hardware
from keras16.exactness._row import Found, Row

COMMAND = "keras16 numerics --output docs/numerics.md"
HEADER = ("part", "bound", "graph", "XLA", "stock", "unit", "inputs", "tests")


@dataclasses.dataclass(frozen=True)
class Line:
    """A row and what was found.

    Attributes:
        row: What was measured.
        graph: Ours as a plain graph.
        compiled: Ours under XLA.
        stock: Keras in float16, the worse of both; None where it has no equal.
    """

    row: Row
    graph: Found
    compiled: Found
    stock: Found | None

    @property
    def holds(self) -> bool:
        """Whether both of ours keep the bound, and 16 bits."""
        return self.row.holds(self.graph) and self.row.holds(self.compiled)

    def cells(self) -> list[str]:
        """Its cells, in the order of `HEADER`."""
        return [
            self.row.part,
            number(self.row.bound),
            shown(self.graph),
            shown(self.compiled),
            "-" if self.stock is None else shown(self.stock),
            self.row.unit,
            self.row.inputs,
            self.row.tested,
        ]


def measured(row: Row) -> Line:
    """A row, measured four times."""
    graph, compiled = row.ours(False), row.ours(True)
    if row.stock is None:
        return Line(row, graph, compiled, None)
    stock = [row.stock(each) for each in (False, True)]
    worse = max(each.error for each in stock)
    return Line(row, graph, compiled, Found(worse, max(each.wide for each in stock)))


def number(error: float) -> str:
    """An error to two digits."""
    if not math.isfinite(error):
        return "no number"
    return f"{error:,.0f}" if error >= 100 else f"{error:.2g}"


def shown(found: Found) -> str:
    """An error, and whether wider floats gave it."""
    return f"{number(found.error)}, not pure" if found.wide else number(found.error)


def text(lines: Sequence[Line]) -> str:
    """The table for a terminal, its columns aligned."""
    table = [list(HEADER[:6]), *(line.cells()[:6] for line in lines)]
    widths = [max(len(row[i]) for row in table) for i in range(6)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in table
    )


def objects(lines: Iterable[Line]) -> list[dict[str, Any]]:
    """The same for JSON; what is no number is None."""
    return [
        {
            "part": line.row.part,
            "inputs": line.row.inputs,
            "unit": line.row.unit,
            "bound": line.row.bound,
            "graph": _finite(line.graph),
            "xla": _finite(line.compiled),
            "stock": None if line.stock is None else _finite(line.stock),
            "stock_pure": None if line.stock is None else not line.stock.wide,
            "holds": line.holds,
        }
        for line in lines
    ]


def _finite(found: Found) -> float | None:
    return found.error if math.isfinite(found.error) else None


def markdown(lines: Sequence[Line]) -> str:
    """The page."""
    table = [list(HEADER), ["---"] * len(HEADER), *(line.cells() for line in lines)]
    rows = "\n".join(f"| {' | '.join(cells)} |" for cells in table)
    return f"{_HEAD.format(command=COMMAND, machine=machine())}\n{rows}\n{_FOOT}"


def machine() -> str:
    """What it was measured on, in one line."""
    found = hardware.fingerprint()
    native = "with" if found["native_float16"] == "yes" else "without"
    versions = ", ".join(
        f"{name} {found[name]}" for name in ("keras", "tensorflow", "numpy")
    )
    return (
        f"{found['gpu'] or found['cpu']} ({found['cores']} cores, {native} float16 "
        f"arithmetic), {versions}, Python {found['python']}"
    )


_HEAD = """# How exact keras16 is

Every part of keras16 is measured against float64: our sums against NumPy, layers,
losses, metrics and optimizers against stock Keras at float64, on the same float16
inputs. The bound is what the part keeps, as a plain graph and under XLA; a larger
error makes the command below fail, and so does a float wider than 16 bits in what was
measured. The same goes for stock Keras in float16, the worse of graph and XLA:
*no number* means that it gave infinity or NaN where float64 does not; *not pure*
that it computed in float32. Bounds stand in `keras16/exactness/`, the tests that
hold them in `tests/`.

    {command}

measures all of it anew. This page: {machine}.

*ulp* is a unit in the last place of float16 at the exact number: 2**-10 to 2**-11 of
it, and 2**-24 where it is subnormal.
"""

_FOOT = """
What the table does not say:

- `two_sum` was also tried on all 2,011,106,304 pairs of a positive number and any
  float16 whose sum is finite: none is wrong, as a graph or under XLA. Knuth's is
  wrong for a small number and one near 65,504.
- On a CPU without float16 arithmetic XLA rounds every product, so that Knuth's sum of
  a product is right there by luck; where the CPU has it, half of them are wrong.
- The gradients of rows (batch normalization, biases) are sums in one matrix product
  up to 131,072 rows, whose kernel adds in float32: if all summands are equal, and only
  then, they are off by up to 4 ulp. Longer ones are summed in blocks.
- The factor 1 / batch: the mean of a loss is divided at the very end, and a gradient is
  rounded once. Its size is that of the plain definition: of a batch of 4,096,
  derivatives below 1/4 give subnormal gradients, with fewer bits. `reduction="sum"`
  avoids the division and leaves it to the learning rate.
- Gradients of 1e-6 are whole numbers of 2**-24, some 17 of them, and so are the
  averages in Adam's slots. Where gradients vary, both are rounded by chance to one of
  those: each weight's way is up to 5 % off, as often too long as too short. Where they
  do not, 1e-6 and 3e4 give float64's steps to 2**-10, however many.
"""
