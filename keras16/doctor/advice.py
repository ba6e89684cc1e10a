"""What is wrong with a machine, and the remedy: pure functions of its facts."""

from __future__ import annotations

import dataclasses

from keras16 import hardware
from keras16.doctor.facts import OLDEST_PYTHON, SUPPORTED_BACKENDS, Facts
from keras16.kernels import SWITCH, SWITCHES

OLDEST_KERAS = (3, 15)
# The driver that a major version of CUDA needs, on Linux: NVIDIA, CUDA Toolkit
# Release Notes, table "CUDA Toolkit and Minimum Required Driver Version".
OLDEST_DRIVERS = {11: 450, 12: 525, 13: 580}
HALF_CAPABILITY, TENSOR_CORES = 5.3, 7.0  # CUDA C++ Programming Guide, table 16.x
THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something to know, and what to do about it.

    Attributes:
        level: "broken" (nothing will run), "slow" or "note".
        problem: A sentence.
        remedy: Another one.
    """

    level: str
    problem: str
    remedy: str


def findings(facts: Facts) -> list[Finding]:
    """All there is to say, the worst first."""
    found = [
        *_backend_findings(facts),
        *_gpu_findings(facts),
        *_kernel_findings(facts),
        *_store_findings(facts),
    ]
    order = {"broken": 0, "slow": 1, "note": 2}
    return sorted(found, key=lambda one: order[one.level])


def is_broken(facts: Facts) -> bool:
    """Whether nothing will run until something is mended."""
    return any(one.level == "broken" for one in findings(facts))


def _backend_findings(facts: Facts) -> list[Finding]:
    found = []
    if facts.python < OLDEST_PYTHON:
        found.append(
            Finding(
                "broken",
                f"Python {'.'.join(map(str, facts.python))} is too old.",
                "Install Python 3.11 or later.",
            )
        )
    keras = facts.versions.get("keras", "")
    if keras and _numbers(keras)[:2] < OLDEST_KERAS:
        found.append(
            Finding(
                "broken",
                f"Keras {keras} is older than 3.15.",
                "pip install 'keras>=3.15,<4'.",
            )
        )
    if facts.backend not in SUPPORTED_BACKENDS:
        found.append(
            Finding(
                "broken",
                f"KERAS_BACKEND={facts.backend} is not supported.",
                f"Set KERAS_BACKEND={' or '.join(SUPPORTED_BACKENDS)}, or change "
                "backend in keras.json.",
            )
        )
    if facts.backend_error:
        found.append(_unusable(facts))
    if facts.backend == "tensorflow" and len(facts.tensorflows) > 1:
        found.append(
            Finding(
                "broken",
                f"{' and '.join(facts.tensorflows)} are installed over one another.",
                f"pip uninstall {' '.join(facts.tensorflows)}, then "
                "pip install tensorflow.",
            )
        )
    legacy = facts.environment.get("TF_USE_LEGACY_KERAS", "0").lower()
    if facts.backend == "tensorflow" and legacy in ("1", "true"):
        found.append(
            Finding(
                "note",
                "TF_USE_LEGACY_KERAS makes tf.keras Keras 2, which keras16 can't use.",
                "Unset it, or import keras itself.",
            )
        )
    return found


def _unusable(facts: Facts) -> Finding:
    """The backend that was chosen fails, or is not there."""
    package = f"pip install {facts.backend}"
    if facts.versions.get(facts.backend, facts.backend_error):
        error = facts.backend_error.removesuffix(".")
        problem = f"{facts.backend} can't be used: {error}."
        return Finding("broken", problem, f"{package} --force-reinstall.")
    there = [name for name in SUPPORTED_BACKENDS if facts.versions.get(name)]
    return Finding(
        "broken",
        f"{facts.backend} is not installed.",
        f"Set KERAS_BACKEND={there[0]}, which is, or {package}."
        if there
        else f"{package}.",
    )


def _gpu_findings(facts: Facts) -> list[Finding]:
    if facts.backend_gpus:
        return [one for gpu in facts.gpus for one in _capability_findings(gpu)]
    if facts.system == "Darwin" and facts.backend == "tensorflow":
        return [
            Finding(
                "note",
                "TensorFlow from PyPI has no GPU support on macOS.",
                "Train on the CPU here, or on Linux with an NVIDIA GPU.",
            )
        ]
    if facts.system == "Windows" and facts.backend == "tensorflow":
        return [
            Finding(
                "slow" if facts.gpus else "note",
                "TensorFlow has no GPU support on native Windows since 2.11.",
                "Use WSL2: wsl --install, then install keras16[gpu] in it.",
            )
        ]
    return _unseen(facts) if facts.gpus else []


def _unseen(facts: Facts) -> list[Finding]:
    """Why a GPU that the driver lists is not seen by the backend."""
    problem = f"{facts.backend} doesn't see {facts.gpus[0].name}: "
    if facts.backend_error or facts.backend not in SUPPORTED_BACKENDS:
        return []  # there are worse problems
    package = "keras16[gpu]" if facts.backend == "tensorflow" else "jax[cuda12]"
    if facts.cuda_build is False:
        return [
            Finding(
                "slow",
                f"{problem}it was built for the CPU alone.",
                f"pip uninstall {' '.join(facts.tensorflows) or facts.backend}, then "
                f"pip install '{package}'.",
            )
        ]
    wanted = OLDEST_DRIVERS.get(_numbers(facts.cuda_version or "12")[0])
    driver = facts.gpus[0].driver
    if wanted and driver and _numbers(driver)[0] < wanted:
        return [
            Finding(
                "slow",
                f"{problem}driver {driver} is too old for CUDA {facts.cuda_version}.",
                f"Install driver {wanted} or later from nvidia.com.",
            )
        ]
    if not facts.cuda_libraries:
        return [
            Finding(
                "slow",
                f"{problem}CUDA's libraries are not installed.",
                f"pip install '{package}'.",
            )
        ]
    return [
        Finding(
            "slow",
            f"{problem}the driver lists it, and the libraries are installed.",
            "Look into `TF_CPP_MIN_LOG_LEVEL=0 keras16 doctor` for what fails to load.",
        )
    ]


def _capability_findings(gpu: hardware.Gpu) -> list[Finding]:
    if not gpu.capability or float(gpu.capability) >= TENSOR_CORES:
        return []
    lacks = "float16 arithmetic"
    if float(gpu.capability) >= HALF_CAPABILITY:
        lacks = "tensor cores, which make float16 fast"
    return [
        Finding(
            "slow",
            f"{gpu.name} (compute capability {gpu.capability}) has no {lacks}.",
            "Expect little of precision 16 but memory; use a GPU of 7.0 or later.",
        )
    ]


def _kernel_findings(facts: Facts) -> list[Finding]:
    is_used = facts.backend == "tensorflow" and not facts.backend_error
    found = _tensorflow_findings(facts) if is_used else []
    if facts.f16c:
        return found
    return [
        *found,
        Finding(
            "slow",
            "This CPU has no F16C: float16 is converted bit by bit.",
            "Expect float16 to be very slow here; try --precision bf16.",
        ),
    ]


def _tensorflow_findings(facts: Facts) -> list[Finding]:
    """What spoils TensorFlow's kernels; JAX has others, and starts its own threads."""
    found = []
    if facts.environment.get("TF_ENABLE_ONEDNN_OPTS") == "0" and not facts.backend_gpus:
        found.append(
            Finding(
                "slow",
                "TF_ENABLE_ONEDNN_OPTS=0 turns off the fast float16 kernels, and "
                "depthwise convolutions then add up in float16.",
                "Unset it.",
            )
        )
    switch = facts.environment.get(SWITCH, "")
    if switch not in SWITCHES:
        found.append(
            Finding(
                "note",
                f"{SWITCH}={switch} is not known, and changes nothing.",
                f"Unset it, or give {', '.join(SWITCHES[1:-1])} or {SWITCHES[-1]}.",
            )
        )
    is_asked = switch != "0"
    has_vectors = facts.system == "Linux" and "avx2" in facts.cpu_flags
    wants_own = has_vectors and not facts.float16_kernels
    if wants_own and not facts.own_kernels and not facts.backend_gpus:
        found.append(
            Finding(
                "slow",
                "keras16's float16 kernels for this CPU are not there: XLA compiles "
                "the steps of precision 16, which are several times as slow.",
                "Install GCC (Debian: gcc), then keras16 again."
                if is_asked
                else f"Unset {SWITCH}.",
            )
        )
    few = [
        name
        for name in THREADS
        if facts.environment.get(name, "").isdigit()
        and int(facts.environment[name]) not in (0, *range(facts.cores, 10**4))
    ]
    for name in few:
        found.append(
            Finding(
                "slow",
                f"{name}={facts.environment[name]} leaves cores of {facts.cores} idle.",
                f"Unset it, or set it to {facts.cores}.",
            )
        )
    if not facts.backend_gpus:
        found.append(
            Finding(
                "note",
                "TensorFlow's remapper fuses float16 layers that have a bias and a "
                "ReLU into kernels that can be a thousand times slower on a CPU. "
                "keras16 turns it off; a script of your own under mixed_float16 "
                "does not.",
                "There, call tf.config.optimizer.set_experimental_options("
                '{"remapping": False}).',
            )
        )
    return found


def _store_findings(facts: Facts) -> list[Finding]:
    found = []
    uri = facts.environment.get("MLFLOW_TRACKING_URI", "")
    if uri.startswith("file:") or (uri and ":" not in uri):
        found.append(
            Finding(
                "slow",
                f"MLFLOW_TRACKING_URI={uri} is a store of files, which MLflow refuses.",
                "Unset it, or give sqlite:///FILE.db.",
            )
        )
    if facts.old_file_store:
        found.append(
            Finding(
                "note",
                "./mlruns holds an old store of files, to which MLflow's own commands "
                "switch by themselves, and then refuse it.",
                "keras16 is not affected; give `mlflow` a --backend-store-uri, or move "
                "mlruns/[0-9]* away.",
            )
        )
    return found


def _numbers(version: str) -> tuple[int, ...]:
    """`12.5.1` -> (12, 5, 1); what is no number ends it."""
    found = []
    for part in version.split("."):
        if not part.isdigit():
            break
        found.append(int(part))
    return tuple(found) or (0,)
