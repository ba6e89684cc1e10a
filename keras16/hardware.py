"""The machine and the software a number was measured on, as plain strings.

Nothing here imports TensorFlow, JAX or Keras: versions are read from the installed
packages' metadata, the backend from Keras' own configuration.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import importlib.metadata
import json
import mmap
import os
import pathlib
import platform
import shutil
import subprocess
import sys

from keras16 import kernels

SPEED_FLAGS = (
    "avx2",
    "avx512f",
    "avx512bw",
    "avx512_bf16",
    "avx512_fp16",
    "amx_bf16",
    "amx_fp16",
    "asimdhp",
    "fphp",
)
PACKAGES = ("keras", "tensorflow", "jax", "numpy", "keras16")
# The environment of processes that share a GPU: else the first takes all its memory.
SHARED_GPU = {
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}

# A C function: leaf and subleaf in EDI and ESI, EAX back. RBX belongs to the caller.
# endbr64; push rbx; mov eax, edi; mov ecx, esi; cpuid; pop rbx; ret
CPUID_EAX = bytes.fromhex("f30f1efa 53 89f8 89f1 0fa2 5b c3")
AMX_FP16_BIT = 1 << 21


@dataclasses.dataclass(frozen=True)
class Gpu:
    """A GPU as the driver lists it.

    Attributes:
        name: Such as "NVIDIA H100 80GB HBM3".
        capability: Compute capability, such as "9.0"; "" where the driver is too old
            to tell.
        driver: Version of the driver.
    """

    name: str
    capability: str = ""
    driver: str = ""


def fingerprint() -> dict[str, str]:
    """The machine, the software, and the commits of the current folder and of keras16.

    Returns:
        Plain strings by name; what is not there is "" (a missing package, say).
    """
    return {
        "cpu": cpu_model(),
        "cores": str(usable_cores()),
        "memory": memory(),
        "cpu_flags": " ".join(cpu_flags()),
        "native_float16": "yes" if native_float16() else "no",
        "own_kernels": own_kernels() or "no",
        "gpu": ", ".join(gpus()),
        "os": platform.platform(),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "backend": backend(),
        "git_commit": git_commit(),
        "keras16_commit": own_commit(),
    }


def expectation(precision: str) -> str:
    """One line on the speed to expect of 16 bits on this machine; "" where 32.

    Args:
        precision: A name of the precision table, such as "16" or "mixed_bf16".
    """
    if precision in ("32", "float32"):
        return ""
    number = "bfloat16" if "bf" in precision else "float16"
    if gpus():
        return f"{gpus()[0]} multiplies {number} natively: large layers run faster."
    if number == "float16" and own_kernels() and not native_float16():
        return (
            "This CPU has no float16 arithmetic: keras16's kernels compute in float32 "
            f"inside. {_of_kernels(is_mixed=precision.startswith('mixed'))}"
        )
    if number == "float16" and native_float16() and not _multiplies_fast():
        return (
            "This CPU has float16 arithmetic but no fast float16 convolutions: expect "
            "a slower run; keras16 doctor says what is missing."
        )
    if native_bfloat16() if number == "bfloat16" else native_float16():
        return f"This CPU multiplies {number} natively: expect no loss of speed."
    return (
        f"This CPU has no native {number} and emulates it through float32: expect no "
        "speed-up, maybe a slower run; 16-bit tensors still take half the memory."
    )


def _of_kernels(is_mixed: bool) -> str:
    """What to expect of keras16's kernels where there is no float16 arithmetic."""
    if is_mixed:
        return (
            "Expect about float32's speed of nets of keras16's layers, less of others."
        )
    return (
        "Expect float32's speed or more, less of nets that are mostly an update, or "
        "recurrent; 16-bit tensors take half the memory."
    )


def native_float16() -> bool:
    """Whether the CPU multiplies in float16 itself (AVX512-FP16, AMX-FP16, ARM)."""
    flags = cpu_flags()
    return any(flag in flags for flag in ("avx512_fp16", "amx_fp16", "asimdhp", "fphp"))


def float16_kernels() -> bool:
    """Whether oneDNN has fast float16 kernels for all of a training step.

    AMX-FP16 has, and on ARM nothing else is known. On AVX512-FP16 alone the gradient
    of a convolution's kernel is oneDNN's reference: 2,100 ms for 3 x 3 x 16 x 16 on
    images of [128, 32, 32, 16], where float32 takes 3.4.
    """
    flags = cpu_flags()
    return any(flag in flags for flag in ("amx_fp16", "asimdhp", "fphp"))


def _multiplies_fast() -> bool:
    """Whether there are fast float16 kernels here: oneDNN's or keras16's own."""
    return float16_kernels() or bool(own_kernels())


def own_kernels() -> str:
    """The vectors that keras16's own kernels compute in here, "AVX-512" or "AVX2".

    "" where there are none, or this CPU or backend doesn't run them, or beside a GPU.
    """
    if backend() != "tensorflow" or gpus():
        return ""
    fitting = (one for one in kernels.libraries() if one.flag in cpu_flags())
    return next((one.vectors for one in fitting), "")


def native_bfloat16() -> bool:
    """Whether the CPU multiplies in bfloat16 itself (AVX512-BF16, AMX-BF16)."""
    flags = cpu_flags()
    return "avx512_bf16" in flags or "amx_bf16" in flags


@functools.cache
def cpu_flags() -> tuple[str, ...]:
    """The CPU's flags that decide the speed of 16-bit numbers, as Linux calls them."""
    found = set(_cpuinfo("flags").split()) | set(_cpuinfo("Features").split())
    if platform.system() == "Darwin":
        found |= _darwin_flags()
    # Kernels before 6.4 do not list AMX-FP16 though the CPU has it: ask the CPU.
    if "amx_bf16" in found and _cpuid_eax(7, 1) & AMX_FP16_BIT:
        found.add("amx_fp16")
    return tuple(flag for flag in SPEED_FLAGS if flag in found)


def cpu_model() -> str:
    """The CPU's own name, such as "AMD EPYC 9654"; the architecture where unknown."""
    return (
        _cpuinfo("model name")
        or _output("sysctl", "-n", "machdep.cpu.brand_string")
        or platform.processor()
        or platform.machine()
    )


def usable_cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory() -> str:
    """The machine's memory, such as "15.6 GiB"; "" where it can't be asked."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return ""
    return f"{size / 2**30:.1f} GiB"


def gpus() -> list[str]:
    """The names of the GPUs that this process may use, without starting a framework.

    TensorFlow or JAX is asked where Keras runs on it and it is imported already (it
    may have come without CUDA), the driver where it is not.
    """
    if _framework_has_no_gpu():
        return []
    return list(_driver_gpus(os.environ.get("CUDA_VISIBLE_DEVICES")))


def _framework_has_no_gpu() -> bool:
    """Whether the framework that Keras runs on is imported and sees no GPU."""
    if backend() == "jax":
        jax = sys.modules.get("jax")
        return jax is not None and all(d.platform == "cpu" for d in jax.devices())
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and not tensorflow.config.list_physical_devices("GPU")


def version(package: str) -> str:
    """The version of an installed package, without importing it; "" where missing."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        module = sys.modules.get(package)
        return str(getattr(module, "__version__", ""))


def backend() -> str:
    """The Keras backend, found as Keras finds it: environment, keras.json, default."""
    if "KERAS_BACKEND" in os.environ:
        return os.environ["KERAS_BACKEND"]
    home = os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras")
    try:
        settings = json.loads((pathlib.Path(home) / "keras.json").read_text())
        return str(settings.get("backend", "tensorflow"))
    except (OSError, ValueError, AttributeError):
        return "tensorflow"


def gpu_details() -> tuple[Gpu, ...]:
    """The GPUs that this process may use, as the driver describes them."""
    names = _driver_gpus(os.environ.get("CUDA_VISIBLE_DEVICES"))
    asked = [_driver_says(key, len(names)) for key in ("compute_cap", "driver_version")]
    return tuple(Gpu(*each) for each in zip(names, *asked, strict=True))


def converts_float16() -> bool:
    """Whether the CPU converts float16 by itself: F16C on x86, always elsewhere."""
    flags = _cpuinfo("flags").split()
    return not flags or "f16c" in flags


def git_commit(folder: str | os.PathLike = ".") -> str:
    """The commit of a folder's repository, "-dirty" added; "" without."""
    git = ("git", "-C", os.fspath(folder))
    commit = _output(*git, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return ""
    changed = _output(*git, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}-dirty" if changed else commit


def own_commit() -> str:
    """The commit of keras16's checkout, or that pip installed it from; "" elsewhere.

    A copy in site-packages may lie in the repository of somebody else's project.
    """
    home = pathlib.Path(__file__).parent
    if _output("git", "-C", str(home), "ls-files", "__init__.py"):
        return git_commit(home)
    try:
        found = importlib.metadata.distribution("keras16").read_text("direct_url.json")
        return str(json.loads(found or "{}")["vcs_info"]["commit_id"])[:12]  # PEP 610
    except (importlib.metadata.PackageNotFoundError, ValueError, KeyError, TypeError):
        return ""


def _cpuinfo(key: str) -> str:
    """The first value of `key` in /proc/cpuinfo; "" where there is none."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in pairs if name.strip() == key), "")


def _darwin_flags() -> set[str]:
    """What a Mac has, in Linux's words."""
    arm = _output("sysctl", "-n", "hw.optional.arm.FEAT_FP16")
    intel = _output("sysctl", "-n", "machdep.cpu.leaf7_features").lower()
    flags = {flag for flag in SPEED_FLAGS if flag in intel.split()}
    return flags | ({"asimdhp"} if arm == "1" else set())


def _cpuid_eax(leaf: int, subleaf: int) -> int:
    """EAX of one CPUID leaf; 0 where the CPU or the system does not let us ask."""
    asked_here = platform.system() in ("Linux", "Darwin")
    if not asked_here or platform.machine() not in ("x86_64", "AMD64"):
        return 0
    try:
        page = mmap.mmap(
            -1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        )
    except OSError:  # a hardened kernel gives no page that is writable and executable
        return 0
    page.write(CPUID_EAX)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    kind = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32)
    ask = kind(address)
    return ask(leaf, subleaf) if leaf <= ask(0, 0) and subleaf <= ask(leaf, 0) else 0


@functools.cache
def _driver_gpus(visible: str | None) -> tuple[str, ...]:
    """What nvidia-smi lists; `visible` is CUDA_VISIBLE_DEVICES, None where not set."""
    if visible is not None and visible.strip() in ("", "-1"):
        return ()
    lines = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    return tuple(line.strip() for line in lines.splitlines() if line.strip())


def _driver_says(key: str, count: int) -> list[str]:
    """One answer for each GPU; "" where nvidia-smi doesn't know the question."""
    lines = _output("nvidia-smi", f"--query-gpu={key}", "--format=csv,noheader")
    found = [line.strip() for line in lines.splitlines() if line.strip()]
    return (found + [""] * count)[:count]


def _output(*command: str) -> str:
    """What a command prints; "" where it is missing, fails or takes over 5 seconds."""
    program = shutil.which(command[0])
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, *command[1:]],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
