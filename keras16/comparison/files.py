"""Functions, objects and arrays as files, for processes that did not see them made."""

from __future__ import annotations

import hashlib
import os
import pathlib
import sys
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from keras16 import catalog, user_code
from keras16.errors import UserError
from keras16.execution import identity

TESTED = 0.1  # of examples that come without a test part
LOADER = '''\
"""What was handed to keras16.compare as {name} ({digest})."""

import pathlib

import cloudpickle

{name} = cloudpickle.loads(pathlib.Path(__file__).with_suffix(".pkl").read_bytes())
'''


def check(model: Any, dataset: Any, *parts: Any) -> None:
    """Refuses what names a file that is not there, before anything is measured.

    Args:
        model: As `compare` takes it.
        dataset: Likewise.
        *parts: Likewise, a loss and a metric.

    Raises:
        UserError: As whoever reads the file would tell it.
    """
    from keras16 import assembly, data

    for each in (model, *parts):
        if isinstance(each, str) and ".py:" in each and _is_missing(each):
            user_code.load_function(each)
    if isinstance(model, str) and model.endswith(".keras") and _is_missing(model):
        assembly.loaded(model)
    is_own = isinstance(dataset, str) and dataset not in catalog.names("datasets")
    if is_own and _is_missing(dataset):
        data.load(dataset)


def _is_missing(named: str) -> bool:
    stem, is_code, _ = named.partition(".py:")
    path = pathlib.Path(f"{stem}.py" if is_code else named)
    return not path.expanduser().exists()


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
    if not isinstance(build, str) and not callable(build):
        raise UserError(
            f"build is {type(build).__name__}: give a function that returns a Keras "
            "model, or the name of one."
        )
    return part(build, "build", "net", folder), _dataset(data, folder)


def part(value: Any, name: str, file: str, folder: pathlib.Path) -> Any:
    """What a `Run` calls a function, a loss or a metric.

    Args:
        value: What Keras' `compile` takes, say; text and None stay as they are.
        name: Of the argument.
        file: What its files are called.
        folder: Where they are written.

    Returns:
        `FILE.py:NAME`.

    Raises:
        UserError: It can't be handed to another process.
    """
    if value is None or isinstance(value, str):
        return value
    if not callable(value):
        raise UserError(
            f"{name} is {type(value).__name__}: give a name, a function, or an object "
            "of Keras."
        )
    import cloudpickle

    try:
        content = cloudpickle.dumps(_Sent(value) if _is_of_keras(value) else value)
    except Exception as error:  # of any kind: it may hold anything
        raise UserError(
            f"{name} can't be handed to another process ({error}): write it as "
            '"FILE.py:NAME".'
        ) from error
    digest = hashlib.sha256(content + _sources(value)).hexdigest()[:12]
    home = folder / f"{file}-{digest}"
    _keep(home / f"{file}.pkl", content)
    _keep(home / f"{file}.py", LOADER.format(name=name, digest=digest).encode())
    return f"{home / f'{file}.py'}:{name}"


def write_whole(file: pathlib.Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes a file, and its folder; the file of before stands until it is whole.

    Args:
        file: Of this process and others, which may be reading or writing it.
        write: Given the open file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as opened:
            write(opened)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _keep(file: pathlib.Path, content: bytes) -> None:
    """Writes what is not there yet."""
    if not file.exists() or file.read_bytes() != content:
        write_whole(file, lambda part: part.write(content))


def _sources(value: Any) -> bytes:
    """What the user's module holds of which pickling keeps but a name, and its imports.

    A function of the script itself, or made in another one, is in the pickle.
    """
    kind = value if hasattr(value, "__name__") else type(value)
    home = sys.modules.get(kind.__module__)
    top = kind.__module__.partition(".")[0]
    file = pathlib.Path(getattr(home, "__file__", None) or "")
    is_ours = top in ("__main__", "keras", "keras16") or top in sys.stdlib_module_names
    by_name = getattr(home, kind.__name__, None) is kind
    if is_ours or not by_name or "site-packages" in file.parts:
        return b""
    return b"".join(path.read_bytes() for path in identity.sources(file))


class _Sent:
    """A loss or metric of Keras, or derived from one, on its way.

    Keras' own pickling writes an archive with the time in it, and finds no class of
    the user's on the other side. A loss is what it holds; a metric has variables, and
    is made anew of its config.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        kind = type(self.value)
        if hasattr(self.value, "variables"):
            return kind.from_config, (self.value.get_config(),)
        return _with_state, (kind, vars(self.value))


def _with_state(kind: type, state: dict[str, Any]) -> Any:
    made: Any = object.__new__(kind)
    vars(made).update(state)
    return made


def _is_of_keras(value: Any) -> bool:
    """Whether it is an object of a class of Keras', or of one derived from that."""
    bases = type(value).__mro__
    return any(base.__module__.partition(".")[0] == "keras" for base in bases)


def _dataset(data: Any, folder: pathlib.Path) -> str:
    if isinstance(data, str):
        return data
    (x, y), (x_test, y_test) = _parts(data)
    sha = hashlib.sha256()
    arrays = {"x_train": x, "y_train": y, "x_test": x_test, "y_test": y_test}
    for array in arrays.values():
        sha.update(f"{array.dtype.str}{array.shape}".encode())
        # Of bytes: NumPy has no buffers of dates.
        sha.update(np.ascontiguousarray(array).view(np.uint8).data)
    path = folder / f"data-{sha.hexdigest()[:12]}.npz"
    if not path.exists():
        write_whole(path, lambda part: np.savez(part, **arrays))  # type: ignore[arg-type]
    return str(path)


Pair = tuple[np.ndarray, np.ndarray]


def _parts(data: Any) -> tuple[Pair, Pair]:
    """(training part, test part), the latter split off where there is none."""
    from keras16.data import split, strata

    try:
        first, second = data
        if isinstance(first, tuple | list) and isinstance(second, tuple | list):
            (x, y), (x_test, y_test) = first, second
            return _pair(x, y, "_train"), _pair(x_test, y_test, "_test")
    except UserError:  # a ValueError, too
        raise
    except (TypeError, ValueError) as error:
        raise UserError(
            "data must be (x, y), ((x, y), (x_test, y_test)) or the name of a data set."
        ) from error
    x, y = _pair(first, second)
    kept, taken = split(strata(y), TESTED, 0)
    return (x[kept], y[kept]), (x[taken], y[taken])


def _pair(x: Any, y: Any, part: str = "") -> Pair:
    """Examples and their targets as arrays.

    Raises:
        UserError: They are none, or not as many.
    """
    arrays = _array(x, f"x{part}"), _array(y, f"y{part}")
    if len(arrays[0]) != len(arrays[1]):
        raise UserError(
            f"x{part} has {len(arrays[0]):,} examples and y{part} {len(arrays[1]):,} "
            "targets: give one for each example."
        )
    return arrays


def _array(value: Any, name: str) -> np.ndarray:
    """One that a file can hold.

    Raises:
        UserError: There is none of numbers or text, or it is empty.
    """
    from keras16.datasets import _checks

    array = _checks.as_array(value, name)
    if array.ndim == 0:
        raise UserError(f"{name} is {type(value).__name__}: give an array.")
    if len(array) == 0:
        raise UserError(f"{name} holds no example: give at least one.")
    if array.dtype.kind in "OV":  # objects; bfloat16, which NumPy's files don't know
        raise UserError(
            f"{name} is of dtype {array.dtype}, which can't be handed to another "
            f"process: give {name}.astype('float32'), say."
        )
    return array
