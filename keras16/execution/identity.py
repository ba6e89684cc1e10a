"""By what a run is known again: its fields, its files, and the code that trains it."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from keras16 import catalog, hardware, kernels
from keras16.study import Run

# No run is trained by these: a change in them leaves every result as it was.
ASIDE = frozenset(
    {
        "benchmark",
        "cli.py",
        "analysis",
        "comparison",
        "coverage.py",
        "criterion.py",
        "doctor",
        "exactness",
        "execution",
        "__main__.py",
        "report",
        "results.py",
        "statistics",
        "store.py",
        "study.py",
        "sweep.py",
        "tolerance",
        "tracking",
        "tuning.py",
    }
)
# Fields that runs of before did not have: unset, they leave a run its name.
LATER = ("loss", "metric")
SETTINGS = ("KERAS_BACKEND", "KERAS_HOME", "KERAS16_KERNELS")
PACKAGES = ("keras", "tensorflow", "jax", "numpy")
# Fields that may name files of the user's.
NAMES_FILES = ("model", "dataset", "loss", "metric")
NUMBERS: dict[str, type] = {"bool": bool, "int": int, "float": float}
LONGEST_NAME = 80  # bytes; a file system takes 255, and more is added to it
# What finds or runs code that no import statement names.
LOADERS = frozenset({"importlib", "pkgutil", "runpy", "imp", "zipimport"})
RUNNERS = frozenset({"__import__", "exec", "eval", "__path__"})
PATHS = frozenset({"path", "modules", "meta_path", "path_hooks"})  # of sys


@functools.cache
def code() -> str:
    """The version of what trains: keras16's source, Keras, the backend and NumPy.

    And the compiled kernels, where there are some and they are not switched off.

    Returns:
        12 hexadecimal digits, of the first time that this process asks.
    """
    return code_by_now()


def code_by_now() -> str:
    """The same, read anew: somebody may have installed or edited something."""
    home = pathlib.Path(__file__).parents[1]
    sha = hashlib.sha256(hardware.backend().encode())
    for package in PACKAGES:
        sha.update(f"{package}=={hardware.version(package)};".encode())
    for path in sorted(home.rglob("*.py")):
        part = path.relative_to(home)
        if part.parts[0] not in ASIDE and part.parts[0] != "pipelines":
            sha.update(part.as_posix().encode() + b"\0" + path.read_bytes())
    for library in kernels.libraries():
        sha.update(library.path.read_bytes())
    return sha.hexdigest()[:12]


def settings() -> dict[str, str | None]:
    """The variables of the environment that `code` depends on."""
    return {name: os.environ.get(name) for name in SETTINGS}


@contextlib.contextmanager
def under(before: dict[str, str | None]) -> Iterator[None]:
    """The settings of before: a net may set `KERAS_BACKEND` when it is too late."""
    now = settings()
    _set(before)
    try:
        yield
    finally:
        _set(now)


def _set(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def key(run: Run) -> str:
    """What a run is filed under: the same fields and the same files of the user's.

    Args:
        run: As asked for; a model, data set, loss or metric of the user's is told by
            what is in the file, of a `FILE.py` with the `sources` that it imports.

    Returns:
        A short name of the run and 12 hexadecimal digits.
    """
    run = _plain(run)
    fields = run.fields()
    for name in LATER:
        if fields[name] is None:
            del fields[name]
    sha = hashlib.sha256(json.dumps(fields, sort_keys=True).encode())
    for name, path in _told_by(run):
        stat = path.stat()
        sha.update(os.fsencode(name) + b"\0" + _content(path, stat.st_mtime_ns))
    return f"{short_name(run)}-{sha.hexdigest()[:12]}"


def short_name(run: Run) -> str:
    """The name that a key begins with, no longer than a file's name may be."""
    return run.name.encode()[:LONGEST_NAME].decode(errors="ignore")


def newest_file(run: Run) -> str:
    """Which of the user's files that tell a run was changed last, as far as known.

    Returns:
        One that is not there any more, where a field names it; else the newest, from
        the working folder if it lies in there; "" where there is none.
    """
    run = _plain(run)
    for named in _named(run):
        if not _path(named).exists():
            return str(_path(named))
    files = [path for _, path in _told_by(run)]
    newest = max(files, key=lambda file: file.stat().st_mtime, default=None)
    if newest is None:
        return ""
    inside = newest.is_relative_to(pathlib.Path.cwd())
    return str(newest.relative_to(pathlib.Path.cwd()) if inside else newest)


def _plain(run: Run) -> Run:
    """The same run with one form of each number and of each path."""
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(run):
        value = getattr(run, field.name)
        if isinstance(value, int | float):  # None and words are as they are
            plain[field.name] = _number(value, str(field.type))
    for name in NAMES_FILES:
        plain[name] = _normal(getattr(run, name))
    return dataclasses.replace(run, **plain)


def _number(value: float, annotated: str) -> float:
    """1 as 1.0 where a float is wanted, and the other way round."""
    wanted = NUMBERS.get(annotated.partition(" ")[0], float)
    try:
        number = wanted(value)
    except (OverflowError, ValueError):  # infinite, or larger than any float
        return value
    return number if number == value else value


def _normal(named: str | None) -> str | None:
    """`./nets//wide.py:build` as `nets/wide.py:build`; names as they are."""
    if not named:
        return named
    stem, is_code, function = named.partition(".py:")
    return os.path.normpath(stem) + is_code + function


def _told_by(run: Run) -> Iterator[tuple[str, pathlib.Path]]:
    """The user's files that tell a run, and the names that they have in it.

    The name of a folder is left out of that: it is among the run's fields. Those of the
    folders in it are classes.
    """
    for named in _named(run):
        folder = _path(named)
        whole = folder.is_dir()
        for path in _files(named):
            yield (path.relative_to(folder).as_posix() if whole else path.name), path


def _named(run: Run) -> Iterator[str]:
    """The fields that name files of the user's, not parts of the catalogue."""
    if run.model.partition(":")[0].endswith((".py", ".keras")):
        yield run.model
    if run.dataset not in catalog.names("datasets"):
        yield run.dataset
    yield from (part for part in (run.loss, run.metric) if part and ".py:" in part)


def _path(named: str) -> pathlib.Path:
    """The file or folder that a field names."""
    stem, is_code, _ = named.partition(".py:")
    return pathlib.Path(f"{stem}.py" if is_code else named).expanduser()


def sources(path: pathlib.Path) -> list[pathlib.Path]:
    """The user's Python files that are run where one of them is.

    Those that it imports, or that those import: modules and packages of its folder, or
    of the one that keras16 was started in. Where one of them finds code by other means
    than an import statement (`importlib`, `exec`, `sys.path`, ...) nobody can tell
    which; then all of its folder count, but for studies that no other imports.

    Args:
        path: Of a `.py` file.

    Returns:
        Sorted; empty where there is no such file.
    """
    path = path.resolve()
    homes = list(dict.fromkeys((path.parent, pathlib.Path.cwd())))
    found, waiting, whole = set[pathlib.Path](), [path], True
    while waiting:
        file = waiting.pop()
        if file in found or not file.is_file():
            continue
        found.add(file)
        names, is_all = _imports(file, file.stat().st_mtime_ns)
        whole = whole and is_all
        for name in names:
            waiting += _modules(name, file, homes)
    return sorted(found if whole else found | set(_beside(path.parent)))


@functools.cache
def _imports(file: pathlib.Path, changed: int) -> tuple[frozenset[str], bool]:
    """What a file imports wherever in it, and whether that is sure to be all.

    Returns:
        Dotted names of modules and of what is taken from them, "pkg.*" of all in it;
        relative ones begin with their dots.
    """
    try:
        nodes = list(ast.walk(ast.parse(file.read_bytes())))
    except (SyntaxError, ValueError):  # it is told when the file is run
        return frozenset(), False
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            home = "." * node.level + (node.module or "")
            dot = "." if node.module else ""
            names |= {home, *(f"{home}{dot}{alias.name}" for alias in node.names)}
    is_all = LOADERS.isdisjoint(name.partition(".")[0] for name in names)
    return frozenset(names), is_all and not any(map(_is_dynamic, nodes))


def _is_dynamic(node: ast.AST) -> bool:
    """Whether it may run code that no import statement names."""
    if isinstance(node, ast.Name):
        return node.id in RUNNERS
    if isinstance(node, ast.Attribute):
        is_of_sys = isinstance(node.value, ast.Name) and node.value.id == "sys"
        return is_of_sys and node.attr in PATHS
    if isinstance(node, ast.ImportFrom) and node.module == "sys":
        return any(alias.name in PATHS for alias in node.names)
    return False


def _modules(
    name: str, file: pathlib.Path, homes: Iterable[pathlib.Path]
) -> Iterator[pathlib.Path]:
    """The files that are run where a file imports a name, package by package.

    Args:
        name: As `_imports` gives it. What is keras16's own is told by `code`.
        file: That imports it.
        homes: Folders that are searched in turn for what is not relative.
    """
    parts = [part for part in name.split(".") if part]
    dots = len(name) - len(name.lstrip("."))
    if dots:
        yield from _walked(file.parents[min(dots, len(file.parents)) - 1], parts)
    elif parts[0] != "keras16":
        found = (list(_walked(home, parts)) for home in homes)
        yield from next(filter(None, found), ())


def _walked(place: pathlib.Path, parts: list[str]) -> Iterator[pathlib.Path]:
    for part in parts:
        if part == "*":
            yield from place.glob("*.py")
        elif (place / part / "__init__.py").is_file():
            yield place / part / "__init__.py"
        elif (place / f"{part}.py").is_file():
            yield place / f"{part}.py"
            return
        elif not (place / part).is_dir():  # a package without a file may be one
            return
        place = place / part


def _beside(home: pathlib.Path) -> Iterator[pathlib.Path]:
    """All Python files of a folder and of its packages, but for studies."""
    folder = sorted(home.glob("*.py"))
    yield from (file for file in folder if not _is_apart(file, folder))
    for package in home.glob("*/__init__.py"):
        yield from package.parent.rglob("*.py")


def _files(named: str) -> list[pathlib.Path]:
    path = _path(named)
    if ".py:" in named:
        return sources(path)
    if path.is_dir():
        from keras16.datasets import _images

        return _images.files(path)
    return [path] if path.is_file() else []


def _is_apart(file: pathlib.Path, folder: list[pathlib.Path]) -> bool:
    """Whether a file is a study, and the others do without it."""
    imported = re.compile(rf"^\s*(from|import)\s+{re.escape(file.stem)}\b", re.M)
    if not re.search(r"^STUDY\b", _text(file), re.M):
        return False
    return not any(imported.search(_text(each)) for each in folder if each != file)


def _text(file: pathlib.Path) -> str:
    return _read(file, file.stat().st_mtime_ns)


@functools.cache
def _read(file: pathlib.Path, changed: int) -> str:
    """The file's text; read again only where it has changed."""
    return file.read_text(encoding="utf-8", errors="replace")


@functools.cache
def _content(path: pathlib.Path, changed: int) -> bytes:
    """The file's hash; read again only where it has changed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
