"""A machine and what is installed on it: looked up, and measured."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import pathlib
import platform
import statistics
from collections.abc import Mapping
from typing import Any

from keras16 import backend, hardware
from keras16.statistics.medians import Interval, interval, ratios

SUPPORTED_BACKENDS = backend.SUPPORTED
OLDEST_PYTHON = (3, 11)
# Each of these installs the module `tensorflow`: two of them overwrite one another.
TENSORFLOWS = (
    "tensorflow",
    "tensorflow-cpu",
    "tensorflow-gpu",
    "tensorflow-intel",
    "tensorflow-macos",
    "tensorflow-rocm",
    "tf-nightly",
    "tf-nightly-cpu",
)
CUDA_LIBRARY = "nvidia-cudnn-cu"  # a package's name goes on with CUDA's version
VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "KERAS16_KERNELS",
    "KERAS_BACKEND",
    "MLFLOW_TRACKING_URI",
    "OMP_NUM_THREADS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_USE_LEGACY_KERAS",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
)


@dataclasses.dataclass(frozen=True)
class Speed:
    """What float16 and float32 reach here.

    Attributes:
        products16, products32: Operations a second of square matrix products.
        step16, step32: Seconds of two convolutions with their gradients.
        times: How many times as fast float16 was in these, turn by turn.
    """

    products16: float
    products32: float
    step16: float
    step32: float
    times: Interval


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """A machine and what is installed on it.

    Attributes:
        system: "Linux", "Darwin" or "Windows".
        wsl: Whether Linux runs inside Windows.
        architecture: Such as "x86_64".
        python: (major, minor).
        cpu, memory: As `hardware` names them.
        cpu_flags: Those that decide the speed of 16 bits.
        f16c: Whether an x86 CPU converts float16 by itself; True elsewhere.
        native_float16: Whether the CPU multiplies in float16 itself.
        float16_kernels: Whether oneDNN has fast float16 kernels for every step here.
        own_kernels: The vectors that keras16's compute in, such as "AVX2"; "" where
            none is compiled and for this CPU.
        cores: That this process may use.
        gpus: That the driver lists.
        versions: By package; "" where it is not installed.
        tensorflows: Installed packages that all hold the module `tensorflow`.
        cuda_libraries: Whether CUDA's libraries are installed as Python packages.
        backend: Of Keras.
        backend_error: Why it can't be imported; "" where it can.
        backend_gpus: That it sees.
        cuda_build: Whether it was built for CUDA; None where it doesn't say.
        cuda_version: It was built for, such as "12.5.1"; "" without.
        environment: Variables that matter and are set.
        old_file_store: Whether ./mlruns holds MLflow's old store of files.
        speed: None where it was not measured.
    """

    system: str = "Linux"
    wsl: bool = False
    architecture: str = "x86_64"
    python: tuple[int, int] = OLDEST_PYTHON
    cpu: str = ""
    memory: str = ""
    cpu_flags: tuple[str, ...] = ()
    f16c: bool = True
    native_float16: bool = False
    float16_kernels: bool = False
    own_kernels: str = ""
    cores: int = 1
    gpus: tuple[hardware.Gpu, ...] = ()
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tensorflows: tuple[str, ...] = ("tensorflow",)
    cuda_libraries: bool = False
    backend: str = "tensorflow"
    backend_error: str = ""
    backend_gpus: tuple[str, ...] = ()
    cuda_build: bool | None = None
    cuda_version: str = ""
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    old_file_store: bool = False
    speed: Speed | None = None


def gathered() -> Facts:
    """What can be found out without measuring; imports the backend."""
    name, error = hardware.backend(), ""
    found: dict[str, Any] = {}
    if name in SUPPORTED_BACKENDS:
        error, found = _asked_of_backend()
    return Facts(
        system=platform.system(),
        wsl="microsoft" in platform.release().lower(),
        architecture=platform.machine(),
        python=(int(platform.python_version_tuple()[0]), _minor()),
        cpu=hardware.cpu_model(),
        memory=hardware.memory(),
        cpu_flags=hardware.cpu_flags(),
        f16c=hardware.converts_float16(),
        native_float16=hardware.native_float16(),
        float16_kernels=hardware.float16_kernels(),
        cores=hardware.usable_cores(),
        gpus=hardware.gpu_details(),
        versions={
            package: hardware.version(package)
            for package in ("keras", "tensorflow", "jax", "torch", "numpy", "mlflow")
        },
        tensorflows=tuple(name for name in TENSORFLOWS if _installed(name)),
        cuda_libraries=_has_cuda_libraries(),
        backend=name,
        backend_error=error,
        environment={n: os.environ[n] for n in VARIABLES if n in os.environ},
        old_file_store=any(pathlib.Path("mlruns").glob("[0-9]*/meta.yaml")),
        **found,
    )


def measured(facts: Facts) -> Facts:
    """The same with the speed of float16 and float32, which takes some seconds."""
    from keras16.benchmark import ceilings

    module = backend.module()
    ways = {
        dtype: bool(module.compiles(dtype, facts.float16_kernels))
        for dtype in ("float16", "float32")
    }
    steps = ceilings.convolution_seconds(ways)
    times = interval(ratios(steps["float32"], steps["float16"]))
    assert times is not None  # there were turns
    speed = Speed(
        ceilings.Gemm("float16").rate(),
        ceilings.Gemm("float32").rate(),
        statistics.median(steps["float16"]),
        statistics.median(steps["float32"]),
        times,
    )
    return dataclasses.replace(facts, speed=speed)


def _asked_of_backend() -> tuple[str, dict[str, Any]]:
    """Why the backend can't be used or "", and what it says of itself."""
    try:
        module = backend.module()
        if hasattr(module, "described"):
            return "", module.described()
        names = tuple(gpu.name for gpu in hardware.gpu_details())
        return "", {"backend_gpus": names if module.has_gpu() else ()}
    except Exception as error:  # of any kind: a broken installation is what we look for
        lines = str(error).strip().splitlines()
        return f"{type(error).__name__}: {lines[0] if lines else ''}", {}


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _has_cuda_libraries() -> bool:
    names = (one.metadata["Name"] or "" for one in importlib.metadata.distributions())
    return any(name.startswith(CUDA_LIBRARY) for name in names)


def _minor() -> int:
    return int(platform.python_version_tuple()[1])
