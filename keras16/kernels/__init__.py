"""Kernels in C, compiled when keras16 is installed where a compiler is at hand.

They are for CPUs whose matrix unit multiplies bfloat16 and not float16 (AMX-BF16, Intel
since 2023). `backend.tensorflow_kernels` loads them; without them all goes on as on a
CPU that has no float16 kernels.
"""

from __future__ import annotations

import importlib.machinery
import os
import pathlib

SWITCH = "KERAS16_KERNELS"  # "0" in the environment: do as if there were none


def library() -> pathlib.Path | None:
    """The compiled kernels of this installation; None where there are none.

    They may not run on this CPU: whoever loads them finds out.
    """
    if os.environ.get(SWITCH) == "0":
        return None
    folder = pathlib.Path(__file__).parent
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        if (folder / f"_kernels{suffix}").is_file():
            return folder / f"_kernels{suffix}"
    return None
