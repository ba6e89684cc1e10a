"""`keras16 numerics`: bounds that hold, and a page that names every part."""

import pathlib
import re

import numpy as np
import pytest

from keras16 import exactness
from keras16.exactness import Found, page

ROOT = pathlib.Path(__file__).parents[1]
PAGE = ROOT / "docs/numerics.md"
ROWS = {row.part: row for row in exactness.rows()}
QUICK = (
    "two_sum",
    "SoftFloat product",
    "Kahan's sum",
    "exact accumulator",
    "segment sum",
    "Softmax",
    "MeanSquaredError",
    "metric Mean",
    "SGD, 1 step",
)


@pytest.mark.parametrize("part", QUICK)
@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
def test_bounds_hold(part, compiled):
    found = ROWS[part].ours(compiled)
    assert ROWS[part].holds(found), found


@pytest.mark.parametrize(
    "part", ["two_sum", "segment sum", "Softmax", "metric Mean", "SGD, 1 step"]
)
def test_stock_keras_breaks_them(part):
    row = ROWS[part]
    with np.errstate(all="ignore"):
        found = row.stock(False)
    assert not row.holds(found), found


def test_what_is_wide_or_no_number_does_not_hold():
    row = ROWS["Softmax"]
    assert row.holds(Found(row.bound)) and not row.holds(Found(row.bound * 1.01))
    assert not row.holds(Found(0, wide=1)) and not row.holds(Found(np.nan))


def lines_of_the_page():
    """The cells of each row of the page's table, by its part."""
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines()]
    return {cells[0]: cells for cells in rows if len(cells) == len(page.HEADER)}


def test_the_page_names_every_part_within_its_bound():
    lines = lines_of_the_page()
    missing = set(ROWS) - set(lines)
    assert not missing, f"run: {page.COMMAND}"
    assert set(lines) - set(ROWS) == {page.HEADER[0], "---"}
    for part, row in ROWS.items():
        _, bound, graph, compiled, _, unit, inputs, tested = lines[part]
        assert (bound, unit) == (page.number(row.bound), row.unit), part
        assert (inputs, tested) == (row.inputs, row.tested), part
        for text in (graph, compiled):
            # Both are printed to two digits.
            assert float(text.replace(",", "")) <= row.bound * 1.05, part


def test_the_tests_that_the_page_names_are_there():
    for row in ROWS.values():
        assert (ROOT / "tests" / row.tested).exists(), row.tested


def test_the_page_says_where_and_how():
    text = PAGE.read_text()
    assert page.COMMAND in text
    assert re.search(r"This page: .+ cores, .+keras [\d.]+, tensorflow [\d.]+", text)
