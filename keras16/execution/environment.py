"""What the processes that train inherit."""

from __future__ import annotations

import os
import pathlib
import sys

from keras16 import hardware

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2"}


def for_child() -> dict[str, str]:
    """This process's environment, with keras16 importable from where it was."""
    home = str(pathlib.Path(__file__).parents[2])
    paths = [home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    path = os.pathsep.join(dict.fromkeys(paths))
    return {**QUIET, **hardware.SHARED_GPU, **os.environ, "PYTHONPATH": path}


class Parent:
    """What the parent says on standard input, which is empty from then on.

    A net that asks for input, or starts a program that does, would wait for ever, or
    take what is meant for this process.
    """

    def __init__(self) -> None:
        self._pipe, self._rest = os.dup(0), b""
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)

    def line(self) -> bytes:
        """The next line; empty where the parent is gone."""
        while b"\n" not in self._rest:
            more = os.read(self._pipe, 1 << 16)
            if not more:
                return b""
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line + b"\n"


def command(module: str) -> list[str]:
    """The line that runs a module in a process of its own.

    Its working folder is not the first that imports are looked up in: a `statistics.py`
    of the user's there would be taken for Python's. See `take_in_working_folder`.
    """
    return [sys.executable, "-P", "-m", module]


def take_in_working_folder() -> None:
    """Makes the user's modules in the working folder importable, after all others."""
    sys.path.append(os.getcwd())
