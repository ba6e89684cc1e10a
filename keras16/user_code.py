"""The user's own `FILE.py:function`: found, loaded by path and called.

Whatever goes wrong in it is told in one line with the file and the line number.
What it prints goes to standard error: standard output belongs to `--json`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pathlib
import re
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from keras16.errors import UserError, no_tensorflow

TENSORFLOW_NOISE = re.compile(r"\{\{.*?\}\}|\[\[.*?\]\]|\[Op:.*", re.DOTALL)
LONGEST_REASON = 300  # characters of an error's own text that still read as one line


def load_function(spec: str) -> Callable[..., Any]:
    """The function that `FILE.py:function` names.

    The file is run once under a module name of its own; its folder is on
    `sys.path` meanwhile, so that it can import its neighbours. An unchanged file
    is not run again: a model and a data set of one file share one module.

    Args:
        spec: Such as "nets/wide.py:build".

    Raises:
        UserError: No such file or function, a syntax error, or an error at import.
    """
    path, name = _split(spec)
    module = load_module(path)
    function = getattr(module, name, None)
    if not callable(function):
        kind = "" if function is None else f" (it is of type {type(function).__name__})"
        raise UserError(f"{path} has no function {name!r}{kind}: {_functions(module)}")
    return function


def module_of(spec: str) -> types.ModuleType:
    """The module that `load_function(spec)` finds its function in.

    Raises:
        UserError: As there.
    """
    path, _ = _split(spec)
    return load_module(path)


def call(function: Callable[..., Any], *args: Any, spec: str) -> Any:
    """`function(*args)`, with the errors of the user's code told in one line.

    Args:
        function: What `load_function(spec)` returned.
        *args: Passed on.
        spec: Where the function came from, for the text of an error.

    Raises:
        UserError: The function raised something; `__cause__` is the original.
    """
    path, name = _split(spec)
    try:
        with _at_home(path):
            return function(*args)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        _explain(error, path, f"in {name}(): ")


def reason(error: BaseException) -> str:
    """An error as one line of at most a few hundred characters."""
    if _is_of_backend(error):
        return no_tensorflow()
    text = " ".join(TENSORFLOW_NOISE.sub(" ", str(error)).split())
    if len(text) > LONGEST_REASON:
        text = text[: LONGEST_REASON - 3] + "..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _is_of_backend(error: BaseException) -> bool:
    """Whether Keras lacks TensorFlow; on JAX it is a file of the user's that does."""
    missing = error.name if isinstance(error, ModuleNotFoundError) else ""
    return missing == os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow"


def _split(spec: str) -> tuple[pathlib.Path, str]:
    path, colon, name = spec.rpartition(":")
    if not colon or not path.endswith(".py") or not name:
        raise UserError(f"{spec!r} names no function: write it as FILE.py:function.")
    return pathlib.Path(path), name


def load_module(path: pathlib.Path) -> types.ModuleType:
    """The file as a module, run unless this very text was run before.

    Args:
        path: Of a Python file.

    Raises:
        UserError: It can't be read, or its code raises something.
    """
    source = _read(path)
    resolved = path.resolve()
    key = hashlib.sha256(str(resolved).encode() + b"\0" + source).hexdigest()[:16]
    name = f"keras16_user_{path.stem}_{key}"
    if name in sys.modules:
        return sys.modules[name]
    module_spec = importlib.util.spec_from_file_location(name, resolved)
    assert module_spec is not None  # the name ends in .py
    module = importlib.util.module_from_spec(module_spec)
    _run(module, source, path)
    return module


def _read(path: pathlib.Path) -> bytes:
    if not path.exists():
        raise UserError(f"there is no file {path}: check the path.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} can't be read ({reason(error)}).") from error


def _run(module: types.ModuleType, source: bytes, path: pathlib.Path) -> None:
    # Compiled here rather than by Python's own loader: that one leaves a
    # __pycache__ beside the user's file, and takes an edit within one second for
    # no edit at all.
    sys.modules[module.__name__] = module
    try:
        with _at_home(path):
            code = compile(source, str(path.resolve()), "exec", dont_inherit=True)
            exec(code, module.__dict__)
    except BaseException as error:
        del sys.modules[module.__name__]
        if isinstance(error, UserError) or not isinstance(
            error, Exception | SystemExit
        ):
            raise
        _explain(error, path, "")


@contextlib.contextmanager
def _at_home(path: pathlib.Path) -> Iterator[None]:
    """The file's folder first on `sys.path`; prints go to standard error."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        with contextlib.suppress(ValueError):  # the user's code took it out itself
            sys.path.remove(folder)


def _explain(error: BaseException, path: pathlib.Path, where: str) -> NoReturn:
    line = _line(error, path)
    place = f"{path}, line {line}" if line else str(path)
    text = reason(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        text += f" (install {error.name} or mend the import)"
    raise UserError(f"{place}: {where}{text}") from error


def _line(error: BaseException, path: pathlib.Path) -> int | None:
    """The deepest line of the user's own file that the error came through."""
    resolved = str(path.resolve())
    if isinstance(error, SyntaxError) and error.filename == resolved:
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == resolved]
    return lines[-1] if lines else None


def _functions(module: types.ModuleType) -> str:
    """A half sentence with the functions that the file does define."""
    found = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and callable(value)
        and getattr(value, "__module__", None) == module.__name__
    ]
    return f"it has {', '.join(found)}." if found else "it defines no function at all."
