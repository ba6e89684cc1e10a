"""The table of what is pure, replaced and refused: complete, true and written down."""

import importlib
import pathlib

import keras
import pytest

from keras16 import coverage
from keras16.errors import UserError

PAGE = pathlib.Path(__file__).parent.parent / "docs/coverage.md"
KIND = pytest.mark.parametrize("kind", coverage.KINDS)


@KIND
def test_every_public_class_has_one_row(kind):
    folder = getattr(keras, kind)
    base = getattr(folder, coverage.KINDS[kind])
    found = {getattr(folder, row.name) for row in coverage.rows(kind)}
    public = [getattr(folder, name) for name in dir(folder)]
    public = {x for x in public if isinstance(x, type) and issubclass(x, base)}
    assert found == public
    names = [row.name for row in coverage.rows(kind)]
    assert len(names) == len(set(names)) and KINDS_HAVE[kind] <= set(names)


KINDS_HAVE = {
    "layers": {"Dense", "GroupQueryAttention", "InputLayer"},
    "losses": {"CategoricalCrossentropy", "CTC"},
    "metrics": {"AUC", "R2Score"},
    "optimizers": {"Adam", "LossScaleOptimizer"},
    "initializers": {"GlorotUniform"},
    "regularizers": {"L2"},
    "constraints": {"MaxNorm"},
}


@pytest.mark.parametrize("kind", ["losses", "metrics", "regularizers", "constraints"])
def test_nothing_of_these_kinds_is_left_as_keras_has_it(kind):
    """But for the base class and what is exact."""
    left = {row.name for row in coverage.rows(kind) if row.state == coverage.PURE}
    assert left <= {coverage.KINDS[kind], "NonNeg"}


@pytest.mark.parametrize("kind", ["losses", "metrics"])
def test_what_is_refused_says_so(kind):
    ours = importlib.import_module(f"keras16.{kind}")
    refused = [row for row in coverage.rows(kind) if row.state == coverage.REFUSED]
    assert refused
    for row in refused:
        with pytest.raises(UserError, match=row.name):
            ours.get(row.name, "float16")


def test_reasons_are_one_line():
    for row in coverage.rows():
        assert row.state in (coverage.PURE, coverage.REPLACED, coverage.REFUSED)
        assert row.reason and "\n" not in row.reason and "|" not in row.reason, row


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == coverage.markdown(), (
        "run: python -m keras16.coverage > docs/coverage.md"
    )
