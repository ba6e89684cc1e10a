"""Whoever clones the repository makes every committed report anew from its CSV."""

import pathlib

import matplotlib
import pytest

from keras16 import results
from keras16.report import study as report
from pipelines import _recipes

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "results"
FILES = sorted(
    path for path in FOLDER.glob("*.csv") if not path.stem.endswith("-epochs")
)


def pinned(package: str) -> str:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{package}==")).split("==")[
        1
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_committed_report_is_that_of_its_runs(path, tmp_path):
    study = _recipes.load(path.stem)
    records = results.read_csv(path)
    assert records
    written = report.write(study, records, tmp_path)
    # Another matplotlib may draw the same figure with other bytes.
    same_figures = matplotlib.__version__ == pinned("matplotlib")
    for new in written:
        if same_figures or new.suffix in (".md", ".tex"):
            assert new.read_bytes() == (FOLDER / new.name).read_bytes(), new.name


def test_every_study_with_results_keeps_its_runs():
    for page in FOLDER.glob("*.md"):
        assert page.with_suffix(".csv") in FILES
