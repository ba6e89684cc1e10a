"""A function and arrays as files, for processes that did not see them made."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from keras16.errors import UserError

TESTED = 0.1  # of examples that come without a test part
LOADER = '''\
"""A function that was handed to keras16.compare ({digest})."""

import pathlib

import cloudpickle

build = cloudpickle.loads(pathlib.Path(__file__).with_name("net.pkl").read_bytes())
'''


def named(
    build: Callable[..., Any] | str, data: Any, folder: pathlib.Path
) -> tuple[str, str]:
    """What a `Run` calls the net and the data set.

    Args:
        build: A function, or what `Run.model` takes already.
        data: Arrays, or what `Run.dataset` takes already.
        folder: Where files are written that there are none of.

    Raises:
        UserError: They are neither.
    """
    return _net(build, folder), _dataset(data, folder)


def _net(build: Callable[..., Any] | str, folder: pathlib.Path) -> str:
    if isinstance(build, str):
        return build
    if not callable(build):
        raise UserError(
            f"build is {type(build).__name__}: give a function that returns a Keras "
            "model, or the name of one."
        )
    import cloudpickle

    try:
        content = cloudpickle.dumps(build)
    except Exception as error:  # of any kind: it may hold anything
        raise UserError(
            f"build can't be handed to another process ({error}): write it as "
            '"FILE.py:function".'
        ) from error
    digest = hashlib.sha256(content).hexdigest()[:12]
    home = folder / f"net-{digest}"
    home.mkdir(parents=True, exist_ok=True)
    (home / "net.pkl").write_bytes(content)
    (home / "net.py").write_text(LOADER.format(digest=digest))
    return f"{home / 'net.py'}:build"


def _dataset(data: Any, folder: pathlib.Path) -> str:
    if isinstance(data, str):
        return data
    (x, y), (x_test, y_test) = _parts(data)
    sha = hashlib.sha256()
    arrays = {"x_train": x, "y_train": y, "x_test": x_test, "y_test": y_test}
    for array in arrays.values():
        sha.update(f"{array.dtype.str}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array).data)
    path = folder / f"data-{sha.hexdigest()[:12]}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npz")
        np.savez(part, **arrays)  # type: ignore[arg-type]
        part.replace(path)
    return str(path)


def _parts(data: Any) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """(training part, test part), the latter split off where there is none."""
    from keras16.data import split

    try:
        first, second = data
        if isinstance(first, tuple | list) and isinstance(second, tuple | list):
            (x, y), (x_test, y_test) = first, second
            pairs = (x, y), (x_test, y_test)
            return tuple((np.asarray(a), np.asarray(b)) for a, b in pairs)
        x, y = np.asarray(first), np.asarray(second)
    except (TypeError, ValueError) as error:
        raise UserError(
            "data must be (x, y), ((x, y), (x_test, y_test)) or the name of a data set."
        ) from error
    kept, taken = split(_ids(y), TESTED, 0)
    return (x[kept], y[kept]), (x[taken], y[taken])


def _ids(y: np.ndarray) -> np.ndarray:
    """Class ids to split by; zeros where they are none, which is told later."""
    ids = y.argmax(-1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1)
    usable = np.issubdtype(ids.dtype, np.integer) and len(ids) and ids.min() >= 0
    return ids if usable else np.zeros(len(y), "int64")
