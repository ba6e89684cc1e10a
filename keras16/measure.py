"""What a run took: bytes of weights and optimizer state, peak memory, epoch seconds."""

from __future__ import annotations

import contextlib
import ctypes
import math
import pathlib
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

# NumPy has no name for these without ml_dtypes.
OTHER_ITEM_BYTES = {"bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1, "int4": 1}


def weight_bytes(model: keras.Model) -> int:
    """Bytes of the model's variables as they lie in memory, integer ones included."""
    return variables_bytes(model.variables)


def optimizer_bytes(optimizer: Any) -> int:
    """Bytes of the optimizer's own variables: slots, step counter, learning rate.

    The variables of a wrapped optimizer (Keras' `LossScaleOptimizer`) count too.

    Args:
        optimizer: A Keras optimizer, built; None counts 0.
    """
    return 0 if optimizer is None else variables_bytes(optimizer.variables)


def parameters(model: keras.Model) -> int:
    """The model's floating weights, trainable or not: the same at every precision.

    The integers that refine a 16-bit moving average are no parameters, nor are the
    states of random seeds.
    """
    floating = (v for v in model.weights if "float" in str(v.dtype))
    return sum(math.prod(variable.shape) for variable in floating)


def variables_bytes(variables: Iterable[Any]) -> int:
    """Bytes of Keras variables: elements times the size of one, each variable once."""
    distinct = {id(variable): variable for variable in variables}.values()
    return sum(math.prod(one.shape) * item_bytes(one.dtype) for one in distinct)


def item_bytes(dtype: Any) -> int:
    """Bytes of one element of a dtype by Keras' name, such as "bfloat16" or "int64"."""
    import numpy as np

    name = str(dtype)
    return OTHER_ITEM_BYTES.get(name) or np.dtype(name).itemsize


def peak_memory_bytes() -> int:
    """Peak memory of the device where it has a counter, else of this process.

    Returns:
        The peak in bytes since the process began; 0 where the system has no counter.
    """
    return device_peak_bytes() or _resident_peak()


def device_peak_bytes() -> int:
    """Peak memory of the GPU since the process began; 0 where it has no counter."""
    return _tensorflow_gpu_peak() or _jax_gpu_peak()


def resident_bytes() -> int:
    """Memory of this process now; its peak so far where the system tells only that."""
    return _status_bytes("VmRSS:") or _maximum_resident()


def forget_peak() -> None:
    """Has Linux count the peak of this process anew; elsewhere it stays.

    Memory that a compiler has freed goes back to the system first.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)  # of glibc alone
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/clear_refs").write_text("5")


def median_epoch_seconds(seconds: Sequence[float]) -> float | None:
    """The median from the second epoch on: the first one warms up.

    Args:
        seconds: The clock of each epoch, the first included.

    Returns:
        Seconds; None where fewer than two epochs were run.
    """
    return statistics.median(seconds[1:]) if len(seconds) > 1 else None


class ForeignLoad:
    """How busy all else kept the processor since this was made.

    Other users of the machine count, and other machines on the same host where the
    system tells of the time that they steal; threads of this process do not.
    """

    def __init__(self, *, family: bool = False) -> None:
        """Begins to measure.

        Args:
            family: Whether processes that this one has started, and that have not
                ended, count as its own.
        """
        self._own_seconds = _family_seconds if family else time.process_time
        self._since = self._now()

    def cores(self) -> float:
        """Cores kept busy by others since then, on average; 0 where none was felt."""
        seconds, everyone, own = (
            now - then for now, then in zip(self._now(), self._since, strict=True)
        )
        return max(0.0, (everyone - own) / seconds) if seconds else 0.0

    def _now(self) -> tuple[float, float, float]:
        """Seconds: of the clock, of the processor in all, of it for this process."""
        return time.perf_counter(), _busy_seconds(), self._own_seconds()


def _busy_seconds() -> float:
    """What the machine's cores have worked since it started, taken together."""
    import psutil

    times = psutil.cpu_times()._asdict()
    # Guests are counted among the users' time, too.
    idle = ("idle", "iowait", "guest", "guest_nice")
    return sum(seconds for name, seconds in times.items() if name not in idle)


def _family_seconds() -> float:
    """What the processor has worked for this process and those that it has started."""
    import psutil

    seconds = time.process_time()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            times = child.cpu_times()
            seconds += times.user + times.system
    return seconds


class EpochClock:
    """A stop-watch for one epoch's training, paused while something else runs.

    Example:
        ```python
        clock = EpochClock()
        clock.start()
        train()
        with clock.paused():
            validate()
        seconds = clock.stop()
        ```
    """

    def __init__(self) -> None:
        """Stands at 0 until it is started."""
        self._seconds = 0.0
        self._since: float | None = None

    def start(self) -> None:
        """Starts from 0, whatever the clock stood at."""
        self._seconds = 0.0
        self._since = time.perf_counter()

    def pause(self) -> None:
        """Stops counting; pausing twice is pausing once."""
        if self._since is not None:
            self._seconds += time.perf_counter() - self._since
        self._since = None

    def resume(self) -> None:
        """Goes on counting after a pause."""
        if self._since is None:
            self._since = time.perf_counter()

    def stop(self) -> float:
        """Ends the epoch and returns its seconds, pauses left out."""
        self.pause()
        return self._seconds

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leaves what is done inside, such as validation, out of the epoch."""
        self.pause()
        try:
            yield
        finally:
            self.resume()


def _resident_peak() -> int:
    """Of this process alone: Linux' `ru_maxrss` starts at the peak of its parent."""
    return _status_bytes("VmHWM:") or _maximum_resident()


def _status_bytes(key: str) -> int:
    """A line of /proc/self/status in bytes; 0 where there is none: not Linux."""
    try:
        status = pathlib.Path("/proc/self/status").read_text()
        return int(status.partition(key)[2].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        return 0


def _maximum_resident() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _tensorflow_gpu_peak() -> int:
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or not tensorflow.config.list_logical_devices("GPU"):
        return 0
    return int(tensorflow.config.experimental.get_memory_info("GPU:0")["peak"])


def _jax_gpu_peak() -> int:
    jax = sys.modules.get("jax")
    if jax is None or jax.default_backend() == "cpu":
        return 0
    return int((jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0))
