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


def command(module: str) -> list[str]:
    """The line that runs a module in a process of its own.

    Its working folder is not the first that imports are looked up in: a `statistics.py`
    of the user's there would be taken for Python's. See `take_in_working_folder`.
    """
    return [sys.executable, "-P", "-m", module]


def take_in_working_folder() -> None:
    """Makes the user's modules in the working folder importable, after all others."""
    sys.path.append(os.getcwd())
