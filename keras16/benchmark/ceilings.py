"""What the machine can do at best: products a second, and bytes moved a second."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras16 import backend, hardware
from keras16.benchmark.result import ITEM_BYTES
from keras16.layers import own_kernels
from keras16.numerics.products import matmul

CHAIN = 8  # products in one call: what it costs to call is shared among them
SIZES = (128, 256, 512, 1024, 2048, 4096)
LONG_ENOUGH_SECONDS = 0.1
COPY_BYTES = 2**28
TRIES = 3  # the best of them: a ceiling is what nothing disturbed


class Gemm:
    """A chain of square matrix products at the size and in the way that is fastest.

    Args:
        dtype: Of the matrices.

    Attributes:
        size: Rows of the matrices.
        compiled: Whether XLA compiles it, or the backend's own kernels do it.
    """

    def __init__(self, dtype: str) -> None:
        found = [_grown(dtype, compiled) for compiled in backend.module().WAYS]
        self.rate_found, self.size, self.compiled, self._run = max(
            found, key=lambda one: one[0]
        )

    def rate(self) -> float:
        """Floating-point operations a second, once more."""
        return max(_rate(self.size, self._run) for _ in range(TRIES))


def _grown(dtype: str, compiled: bool) -> tuple[float, int, bool, Callable[[], Any]]:
    """The largest chain that still takes no longer than needed to time it."""
    found = []
    for size in SIZES:
        run = _chain(dtype, size, compiled)
        run()  # traces and compiles
        began = time.perf_counter()
        rate = _rate(size, run)
        found.append((rate, size, compiled, run))
        if time.perf_counter() - began > LONG_ENOUGH_SECONDS:
            break
    return found[-1]


def _chain(dtype: str, size: int, compiled: bool) -> Callable[[], Any]:
    from keras import ops

    draw = np.random.default_rng(0)
    a, b = (
        (draw.standard_normal((size, size)) / size**0.5).astype(dtype) for _ in "ab"
    )

    def products(x: Any, y: Any) -> Any:
        for _ in range(CHAIN):
            x = matmul(x, y)
        return ops.max(x)  # of all: no part of the products can be left out

    function = backend.module().Function(products, compiled)
    return lambda: function(a, b)


def _rate(size: int, run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return CHAIN * 2 * size**3 / (time.perf_counter() - began)


class Copy:
    """A copy of a large array in main memory, by one thread for each core."""

    def __init__(self, size: int = COPY_BYTES) -> None:
        threads = hardware.usable_cores()
        self._pool = concurrent.futures.ThreadPoolExecutor(threads)
        self._from = np.array_split(np.ones(size, np.uint8), threads)
        self._to = np.array_split(np.zeros(size, np.uint8), threads)

    def rate(self) -> float:
        """Bytes read and written a second."""
        return max(self._once() for _ in range(TRIES))

    def _once(self) -> float:
        began = time.perf_counter()
        list(self._pool.map(np.copyto, self._to, self._from))
        size = sum(len(part) for part in self._to)
        return 2 * size / (time.perf_counter() - began)


class Ceilings:
    """The rates, ready to be measured again and again."""

    def __init__(self) -> None:
        self.products = {dtype: Gemm(dtype) for dtype in ITEM_BYTES}
        self.copy = Copy()

    def measured(self) -> dict[str, float]:
        """Operations a second by dtype, and "copy" in bytes a second."""
        rates = {dtype: gemm.rate() for dtype, gemm in self.products.items()}
        return {**rates, "copy": self.copy.rate()}


def convolution_seconds(
    ways: Mapping[str, bool], times: int = 11
) -> dict[str, list[float]]:
    """Seconds of two convolutions with all their gradients, each dtype in its turn.

    Of 3 x 3 with 32 filters on images [32, 32, 32, 16], with a ReLU between them.

    Args:
        ways: Whether XLA compiles them, by dtype.
        times: Turns of each.
    """
    steps = {dtype: _convolutions(dtype, ways[dtype]) for dtype in ways}
    found: dict[str, list[float]] = {dtype: [] for dtype in ways}
    for _ in range(times):
        for dtype, step in steps.items():
            began = time.perf_counter()
            step()
            found[dtype].append(time.perf_counter() - began)
    return found


def _convolutions(dtype: str, compiled: bool) -> Callable[[], Any]:
    """Two of them, forth and back, traced and compiled."""
    from keras import ops

    draw = np.random.default_rng(0)

    def drawn(*shape: int) -> np.ndarray:
        return (draw.standard_normal(shape) / 8).astype(dtype)

    x, first, second = drawn(32, 32, 32, 16), drawn(3, 3, 16, 32), drawn(3, 3, 32, 32)
    upstream = drawn(32, 32, 32, 32)

    def net(x: Any, first: Any, second: Any) -> Any:
        hidden = ops.relu(own_kernels.convolution(x, first, "same"))
        return own_kernels.convolution(hidden, second, "same")

    module = backend.module()
    step = module.Function(module.with_gradients(net), compiled)
    step(upstream, x, first, second)
    return lambda: step(upstream, x, first, second)
