"""What a machine is and what to expect of it, in words."""

from __future__ import annotations

from keras16 import hardware
from keras16.doctor.facts import Facts
from keras16.statistics.medians import Interval

FASTER, SLOWER = 1.15, 0.87  # times float32's speed: nearer to it is about as fast


def description(facts: Facts) -> list[tuple[str, str]]:
    """What the machine is: label and value of each row; what it has not is left out."""
    versions = {name: text for name, text in facts.versions.items() if text}
    rows = [
        ("CPU", f"{facts.cpu}, {facts.architecture}, cores: {facts.cores}"),
        ("CPU flags", " ".join(facts.cpu_flags) or "none that speeds up 16 bits"),
        ("native float16", _native(facts)),
        ("keras16's kernels", facts.own_kernels and f"for {facts.own_kernels}"),
        ("memory", facts.memory),
        ("GPU", "; ".join(map(_gpu_text, facts.gpus)) or "none that the driver lists"),
        ("system", f"{facts.system}{' in Windows (WSL)' if facts.wsl else ''}"),
        ("Python", ".".join(map(str, facts.python))),
        ("packages", ", ".join(f"{name} {text}" for name, text in versions.items())),
        ("backend", _backend_text(facts)),
        ("oneDNN", _onednn(facts)),
        ("XLA", _xla(facts)),
        ("environment", " ".join(f"{n}={v}" for n, v in facts.environment.items())),
    ]
    return [(label, value) for label, value in rows if value]


def expectation(facts: Facts) -> str:
    """What to expect of precision 16 here: from what was measured, in words."""
    speed = facts.speed
    if speed is None:
        return ""
    products = speed.products16 / speed.products32
    times, low, high = speed.times
    return (
        f"Matrix products run at {speed.products16 / 1e9:.3g} GFLOP/s in float16 and "
        f"{speed.products32 / 1e9:.3g} in float32 ({products:.2g} times as fast); two "
        f"convolutions and their gradients take {1e3 * speed.step16:.3g} ms in "
        f"float16 and {1e3 * speed.step32:.3g} in float32 ({times:.2g} times as fast, "
        f"{low:.2g} to {high:.2g}). {_expected(speed.times)}"
    )


def _expected(times: Interval) -> str:
    """Of convolutional nets; nothing where the noise was larger than what counts."""
    half = "weights and optimizer state take half the memory"
    middle, low, high = times
    if middle >= FASTER and low > 1:
        return f"Expect precision 16 to train such nets faster than 32; {half}."
    if middle <= SLOWER and high < 1:
        return f"Expect precision 16 to train such nets slower than 32; {half} though."
    if high / low > FASTER / SLOWER:
        return (
            "What to expect of precision 16 was lost in the noise: ask again when "
            f"nothing else runs; {half} anyway."
        )
    return f"Expect precision 16 to train such nets about as fast as 32; {half}."


def _native(facts: Facts) -> str:
    if facts.native_float16:
        return "yes: the CPU multiplies in float16 itself"
    how = "it converts by itself (F16C)" if facts.f16c else "nor does it convert it"
    return f"no: the CPU computes in float32; {how}"


def _gpu_text(gpu: hardware.Gpu) -> str:
    capability = f", compute capability {gpu.capability}" if gpu.capability else ""
    return f"{gpu.name}{capability}, driver {gpu.driver}"


def _backend_text(facts: Facts) -> str:
    built = {True: f"built for CUDA {facts.cuda_version}", False: "built for the CPU"}
    sees = f"sees {', '.join(facts.backend_gpus) or 'no GPU'}"
    parts = [facts.backend, built.get(facts.cuda_build, ""), sees]  # type: ignore[arg-type]
    return ", ".join(part for part in parts if part)


def _onednn(facts: Facts) -> str:
    if facts.backend != "tensorflow" or facts.backend_error:
        return ""
    off = facts.environment.get("TF_ENABLE_ONEDNN_OPTS") == "0"
    return "off (TF_ENABLE_ONEDNN_OPTS=0)" if off else "on where it supports the CPU"


def _xla(facts: Facts) -> str:
    if facts.backend == "jax":
        return "compiles every step"
    if facts.backend_gpus:
        return "compiles every step on the GPU"
    if facts.own_kernels:
        return (
            "compiles the steps of recurrent nets, of parts of your own and, at mixed, "
            "of Keras' layers; the others have keras16's kernels"
        )
    if facts.float16_kernels:
        return "compiles no step: oneDNN's float16 kernels are faster here"
    return "compiles the steps of precisions 16 and mixed"
