"""By what a run is known again: its fields, its files, and the code that trains it."""

from __future__ import annotations

import functools
import hashlib
import json
import pathlib
import re

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
            what is in the file (of a `FILE.py` by all Python files of its folder, but
            for studies that no other of them imports: one more arm is no other run).

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


def _files(named: str) -> list[pathlib.Path]:
    path = pathlib.Path(named.partition(".py:")[0]).expanduser()
    if ".py:" in named:
        folder = sorted(path.parent.glob("*.py"))
        return [file for file in folder if file == path or not _is_apart(file, folder)]
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
