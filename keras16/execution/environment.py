"""What the processes that train inherit."""

from __future__ import annotations

import os
import pathlib

from keras16 import hardware

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2"}


def for_child() -> dict[str, str]:
    """This process's environment, with keras16 importable from where it was."""
    home = str(pathlib.Path(__file__).parents[2])
    paths = [home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    path = os.pathsep.join(dict.fromkeys(paths))
    return {**QUIET, **hardware.SHARED_GPU, **os.environ, "PYTHONPATH": path}
