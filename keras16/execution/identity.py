"""By what a run is known again: its fields, its files, and the code that trains it."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import pathlib
import re
from collections.abc import Iterable, Iterator

from keras16 import hardware, kernels
from keras16.study import Run

# No run is trained by these: a change in them leaves every result as it was.
ASIDE = frozenset(
    {
        "applications.py",
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
PACKAGES = ("keras", "tensorflow", "jax", "numpy")
# What finds or runs code that no import statement names.
LOADERS = frozenset({"importlib", "pkgutil", "runpy", "imp", "zipimport"})
RUNNERS = frozenset({"__import__", "exec", "eval", "__path__"})
PATHS = frozenset({"path", "modules", "meta_path", "path_hooks"})  # of sys


@functools.cache
def code() -> str:
    """The version of what trains: keras16's source, Keras, the backend and NumPy.

    And the compiled kernels, where there are some and they are not switched off.

    Returns:
        12 hexadecimal digits.
    """
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


def key(run: Run) -> str:
    """What a run is filed under: the same fields and the same files of the user's.

    Args:
        run: As asked for; a model, data set, loss or metric of the user's is told by
            what is in the file, of a `FILE.py` with the `sources` that it imports.

    Returns:
        A short name of the run and 12 hexadecimal digits.
    """
    fields = run.fields()
    for name in LATER:
        if fields[name] is None:
            del fields[name]
    sha = hashlib.sha256(json.dumps(fields, sort_keys=True).encode())
    own = [part for part in (run.loss, run.metric) if part and ".py:" in part]
    for named in (run.model, run.dataset, *own):
        for path in _files(named):
            stat = path.stat()
            sha.update(path.name.encode() + b"\0" + _content(path, stat.st_mtime_ns))
    return f"{run.name}-{sha.hexdigest()[:12]}"


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
    stem, is_code, _ = named.partition(".py:")
    if is_code:
        return sources(pathlib.Path(f"{stem}.py").expanduser())
    path = pathlib.Path(named).expanduser()
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
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
