"""XLA is told of the whole vector registers, where they are fast."""

import os
import subprocess
import sys

import pytest

from keras16 import backend

FLAG = "--xla_cpu_prefer_vector_width=512"
FAST = ("avx2", "avx512f", "avx512_bf16")


@pytest.fixture
def flags(monkeypatch):
    """XLA_FLAGS, empty at first and put back afterwards."""
    monkeypatch.setenv("XLA_FLAGS", "")
    return lambda: os.environ["XLA_FLAGS"]


def test_the_version_of_the_tests_was_tried():
    """Else nothing is set, and steps are slower: try it, and say so in the backend."""
    assert backend.module().IS_TRIED


def test_only_cpus_that_keep_their_clock_use_512_bits(flags):
    for known in ((), ("avx2",), ("avx2", "avx512f")):
        backend.fill_registers(known)
        assert flags() == ""
    backend.fill_registers(FAST)
    assert flags() == FLAG
    backend.fill_registers(FAST)
    assert flags() == FLAG


@pytest.mark.parametrize(
    "own, then",
    [
        ("--xla_dump_to=here", f"--xla_dump_to=here {FLAG}"),
        ("--xla_cpu_prefer_vector_width=128", "--xla_cpu_prefer_vector_width=128"),
    ],
)
def test_what_the_user_set_stays(own, then, flags, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", own)
    backend.fill_registers(FAST)
    assert flags() == then


def test_another_version_is_left_alone(flags, monkeypatch):
    monkeypatch.setattr(backend.module(), "IS_TRIED", False)
    backend.fill_registers(FAST)
    assert flags() == ""


def test_xla_knows_the_flag():
    """It ends the process at one that it doesn't know."""
    program = (
        "import numpy as np\n"
        "from keras16 import backend\n"
        f"backend.fill_registers({FAST!r})\n"
        "found = backend.module().Function(lambda x: x * 2, True)(np.float16([1.5]))\n"
        "print(float(np.asarray(found[0]).item()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "XLA_FLAGS": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) == 3
