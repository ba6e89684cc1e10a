"""Kernels in C, compiled when keras16 is installed where a compiler is at hand.

They are for x86 CPUs with AVX2 (since 2013) or AVX-512, on which oneDNN has no fast
float16 convolutions unless there is AMX-FP16, too (**untested**: ours take part there
as well). Convolutions and products are computed in vectors of float32, and where a
matrix unit multiplies bfloat16 (AMX-BF16, Intel since 2023) in its tiles. The same
source makes a library for each width of vectors. `backend.tensorflow_kernels` loads
one; without them all goes on as on a CPU that has no float16 kernels.
"""

from __future__ import annotations

import importlib.machinery
import os
import pathlib
from typing import NamedTuple

# In the environment. "0": do as if there were none; "vectors": as if there were no
# matrix unit; "avx2": as on a CPU without AVX-512.
SWITCH = "KERAS16_KERNELS"
SWITCHES = ("", "0", "vectors", "avx2")


class Library(NamedTuple):
    """Compiled kernels.

    Attributes:
        vectors: What the CPU must have, in words.
        flag: The same, as Linux calls it.
        path: Of the file.
    """

    vectors: str
    flag: str
    path: pathlib.Path


# By name of the file; the newest CPUs first.
_CPUS = {"_avx512": ("AVX-512", "avx512bw"), "_avx2": ("AVX2", "avx2")}


def libraries() -> list[Library]:
    """The compiled kernels of this installation, those of the newest CPUs first.

    They may not run on this CPU: whoever loads them finds out, and takes the next.
    """
    switch = os.environ.get(SWITCH)
    if switch == "0":
        return []
    folder = pathlib.Path(__file__).parent
    found = [
        Library(*cpu, folder / f"{name}{suffix}")
        for name, cpu in _CPUS.items()
        for suffix in importlib.machinery.EXTENSION_SUFFIXES
        if switch != "avx2" or name == "_avx2"
    ]
    return [library for library in found if library.path.is_file()]
