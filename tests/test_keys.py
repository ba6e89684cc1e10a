"""What changes the name that a run is filed under, and what does not."""

import ast
import dataclasses
import pathlib

import pytest

from keras16.execution import identity
from keras16.study import Run
from tests.test_imports import ROOT, imports

# Reached from the training, and yet they shape no net and no step: a record's `Epoch`,
# and the fields of a run, each of which is in its key.
NO_PART = {"results.py", "study.py"}
# By their file names: see `catalog`.
FOUND_BY_NAME = ("datasets", "models", "optimizers", "schedules", "backend")
KEYS = [
    "cnn-mnist5k-16-adam-s0-4469ac25c5a8",
    "resnet20-cifar10-16-adam-s0-2f94a702c6b0",
    "cnn-mnist5k-16-sgd-s0-00a40e953b2c",
]


def closure():
    """The files that training imports, however deep, from keras16's folder."""
    home = ROOT / "keras16"
    waiting = [home / "training.py"]
    waiting += [file for part in FOUND_BY_NAME for file in (home / part).glob("*.py")]
    found = set()
    while waiting:
        file = waiting.pop()
        inside = file.relative_to(home)
        if inside in found:
            continue
        found.add(inside)
        if str(inside) not in NO_PART:
            waiting += [one for name in names(file) for one in files(name)]
    return found


def names(file):
    """Modules of keras16, and what is taken from them, which may be modules."""
    yield from imports(file)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(name):
    path = ROOT / name.replace(".", "/")
    both = path.with_suffix(".py"), path / "__init__.py"
    inside = path.is_relative_to(ROOT / "keras16") and path != ROOT / "keras16"
    return [file for file in both if inside and file.is_file()]


def test_the_code_is_all_that_training_imports():
    reached = closure()
    assert {pathlib.Path("assembly.py"), pathlib.Path("layers/dense.py")} <= reached
    aside = {str(file) for file in reached if file.parts[0] in identity.ASIDE}
    assert aside == NO_PART


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, content in (("a/1.png", "1"), ("a/2.png", "2"), ("b/3.png", "3")):
        file = tmp_path / "pictures" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return tmp_path


def test_a_picture_s_folder_is_its_label(here):
    run = Run(dataset="pictures")
    before = identity.key(run)
    (here / "pictures/a/2.png").rename(here / "pictures/b/2.png")
    moved = identity.key(run)
    (here / "pictures/b").rename(here / "pictures/c")
    assert len({before, moved, identity.key(run)}) == 3
    (here / "pictures/c").rename(here / "pictures/b")
    (here / "pictures/b/2.png").rename(here / "pictures/a/2.png")
    assert identity.key(run) == before


def test_what_is_no_picture_is_not_among_them(here):
    run = Run(dataset="pictures")
    before = identity.key(run)
    for name in (".DS_Store", "a/.hidden.png", "a/notes.txt", "mlruns/a/log.txt"):
        file = here / "pictures" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("more")
    assert identity.key(run) == before
    for part in "train", "test":
        (here / "pictures" / part / "a").mkdir(parents=True)
        (here / "pictures" / part / "a/1.png").write_text(part)
    split = identity.key(run)
    (here / "pictures/a/1.png").write_text("read no more")
    assert identity.key(run) == split != before


def test_a_file_s_name_may_be_of_any_bytes(here):
    before = identity.key(Run(dataset="pictures"))
    with open(b"pictures/a/caf\xe9.png", "w") as file:
        file.write("4")
    assert identity.key(Run(dataset="pictures")) != before


def test_a_key_fits_into_a_file_s_name():
    long = Run(model="n" * 150 + ".py:build", dataset="d" * 100 + ".npz")
    assert len(identity.key(long)) == identity.LONGEST_NAME + 13
    other = dataclasses.replace(long, seed=1)
    assert identity.key(long) != identity.key(other)
    letters = dataclasses.replace(long, model="é" * 100 + ".py:build")
    assert len(identity.key(letters).encode()) <= identity.LONGEST_NAME + 13


def test_files_beside_a_part_of_the_catalogue_are_none_of_its(here):
    before = identity.key(Run())
    (here / "mnist5k").mkdir()
    (here / "mnist5k/1.png").write_text("1")
    (here / "cnn").write_text("1")
    assert identity.key(Run()) == before


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        ({"weight_decay": 0}, {"weight_decay": 0.0}),
        ({"learning_rate": 1}, {"learning_rate": 1.0}),
        ({"epochs": 2.0}, {"epochs": 2}),
        ({"nesterov": 1}, {"nesterov": True}),
        ({"dataset": "./d.npz"}, {"dataset": "d.npz"}),
        ({"dataset": "pictures/"}, {"dataset": "pictures"}),
        ({"model": "./nets//net.py:build"}, {"model": "nets/net.py:build"}),
        ({"loss": "./l.py:f", "metric": "mae"}, {"loss": "l.py:f", "metric": "mae"}),
    ],
)
def test_the_same_in_another_form_has_the_same_key(here, fields, same):
    assert identity.key(Run(**fields)) == identity.key(Run(**same))


def test_keys_of_before_are_those_of_now():
    """What is over stays over: no change of the form of a key may touch these."""
    runs = (
        Run(),
        Run(model="resnet20", dataset="cifar10", learning_rate=0.1, weight_decay=5e-4),
        Run(loss="mse", metric="mae", learning_rate=None, optimizer="sgd"),
    )
    assert [identity.key(run) for run in runs] == KEYS


def test_numbers_that_no_field_can_hold_are_no_error():
    run = Run(learning_rate=10**400)
    assert identity.key(run) != identity.key(Run(learning_rate=float("inf")))
    assert identity.key(Run(epochs=2.5)) != identity.key(Run(epochs=2))


def test_the_newest_file_is_told(here):
    assert identity.newest_file(Run()) == ""
    (here / "net.py").write_text("import part")
    (here / "part.py").write_text("")
    run = Run(model="net.py:build", dataset="pictures")
    assert identity.newest_file(run) in ("part.py", "net.py")
    assert identity.newest_file(Run(model="gone.py:build")) == "gone.py"
