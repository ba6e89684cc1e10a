"""What is installed: its list of packages, its versions, and the wheel elsewhere."""

import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
from packaging.requirements import Requirement

from keras16 import __version__

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINNED = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines()
)
SHIPPED = ("keras16", "pipelines", "pyproject.toml", "README.md", "LICENSE")


def test_every_package_folder_is_listed():
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("keras16", "pipelines")
        for path in (ROOT / top).rglob("__init__.py")
    }
    renamed = {re.sub(r"^pipelines", "keras16.pipelines", name) for name in found}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == renamed


def test_every_folder_of_python_files_is_a_package():
    for top in ("keras16", "pipelines"):
        for path in (ROOT / top).rglob("*.py"):
            assert (path.parent / "__init__.py").is_file(), path


def test_constraints_are_names_and_versions_alone():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line), line


def test_constraints_hold_what_the_project_asks_for():
    extras = PROJECT["project"]["optional-dependencies"]
    pinned = {normalized(name): version for name, version in PINNED.items()}
    lines = (*PROJECT["project"]["dependencies"], *extras["test"], *extras["jax"])
    for line in lines:
        wanted = Requirement(line)
        assert pinned[normalized(wanted.name)] in wanted.specifier, line


def normalized(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_version_is_told_in_one_place():
    assert PROJECT["project"]["dynamic"] == ["version"]
    source = PROJECT["tool"]["setuptools"]["dynamic"]["version"]
    assert source == {"attr": "keras16.__version__"}
    assert f"## {__version__} " in (ROOT / "CHANGELOG.md").read_text()


def test_the_citation_is_of_this_version_and_licence():
    lines = (ROOT / "CITATION.cff").read_text().splitlines()
    assert f"version: {__version__}" in lines
    assert f"license: {PROJECT['project']['license']}" in lines


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of a clean copy: what an earlier build left behind can't slip in."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in SHIPPED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    line = ["pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [sys.executable, "-m", *line, "--wheel-dir", folder, source],
        check=True,
        capture_output=True,
        timeout=120,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_keras16_and_nothing_beside_it(wheel):
    # Of one Python and system, for the kernels' sake, where they are compiled or not.
    assert wheel.name.startswith(f"keras16-{__version__}-cp3")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"keras16", f"keras16-{__version__}.dist-info"}
    assert "keras16/pipelines/train.py" in names
    assert f"keras16-{__version__}.dist-info/licenses/LICENSE" in names


@pytest.mark.skipif(
    platform.machine() != "x86_64" or not shutil.which("gcc"),
    reason="no compiler, or a processor that the kernels are not for",
)
def test_the_wheel_holds_compiled_kernels(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for library in ("_avx512", "_avx2"):
        assert [n for n in names if n.startswith(f"keras16/kernels/{library}.")]
    assert not [n for n in names if n.endswith((".c", ".o"))]


def test_both_libraries_are_made_of_all_files():
    wide, narrow = PROJECT["tool"]["setuptools"]["ext-modules"]
    all_files = set((ROOT / "keras16" / "kernels").glob("*.[ch]"))
    tiles = "tile_convolution.c"
    for module, without in ((wide, {"avx2.h"}), (narrow, {"avx512.h", tiles})):
        given = {ROOT / path for path in module["sources"] + module["depends"]}
        assert {path.name for path in all_files - given} == without
        assert given < all_files
    for key in ("libraries", "extra-compile-args", "optional"):
        assert wide[key] == narrow[key]


def test_the_wheel_runs_from_another_folder(wheel, tmp_path):
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    zipfile.ZipFile(wheel).extractall(site)
    elsewhere.mkdir()
    program = (
        "import keras16, sys; from keras16 import cli\n"
        "assert keras16.__file__.startswith(sys.argv[1]), keras16.__file__\n"
        "assert cli.pipelines() == 'keras16.pipelines'\n"
        "cli.cli(['train', '--help'], prog_name='keras16')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, site],
        cwd=elsewhere,
        # click leaves two columns free; the golden page is 80 wide.
        env={**os.environ, "PYTHONPATH": str(site), "COLUMNS": "82"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (ROOT / "tests" / "golden" / "train.txt").read_text()
