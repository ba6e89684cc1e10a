"""Tables of text for the terminal."""

from __future__ import annotations

from collections.abc import Sequence


def rendered(
    rows: Sequence[tuple[str, ...]],
    header: tuple[str, ...] = (),
    *,
    figures: bool = False,
    width: int = 100,
) -> str:
    """Rows as a table of text, an empty line before and after.

    Args:
        rows: Of the same length; without a header they are label and value.
        header: Of the columns.
        figures: Whether all columns of a header but the first are set right, and none
            of them is wrapped.
        width: Of the terminal.
    """
    import io

    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(
        box=box.SIMPLE, show_header=bool(header), show_edge=False, pad_edge=False
    )
    for number, title in enumerate(header):
        right = figures and number
        table.add_column(title, justify="right" if right else "left", no_wrap=figures)
    for row in rows:
        table.add_row(*row)
    text = io.StringIO()
    Console(file=text, width=width, highlight=False, markup=False).print(table)
    lines = (line.rstrip() for line in text.getvalue().strip("\n").splitlines())
    return "\n".join(["", *lines, ""])
