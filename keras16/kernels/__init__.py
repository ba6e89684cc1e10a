"""Kernels in C, compiled when keras16 is installed where a compiler is at hand.

They are for CPUs with AVX-512, on which oneDNN has no fast float16 convolutions unless
there is AMX-FP16, too (**untested**: ours take part there as well). Convolutions and
products are computed in vectors of float32, and where a matrix unit multiplies bfloat16
(AMX-BF16, Intel since 2023) in its tiles. `backend.tensorflow_kernels` loads them;
without them all goes on as on a CPU that has no float16 kernels.
"""

from __future__ import annotations

import importlib.machinery
import os
import pathlib

# In the environment. "0": do as if there were none; "vectors": nor a matrix unit.
SWITCH = "KERAS16_KERNELS"


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
