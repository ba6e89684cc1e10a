"""The fingerprint, what speed to expect, and what is measured of a run."""

import json
import os
import pathlib
import platform
import subprocess
import sys
import time

import numpy as np
import pytest

from keras16 import hardware, measure
from keras16.kernels import Library

ROOT = pathlib.Path(__file__).parents[1]


LIBRARIES = [
    Library("AVX-512", "avx512bw", pathlib.Path("_avx512.so")),
    Library("AVX2", "avx2", pathlib.Path("_avx2.so")),
]


@pytest.fixture
def cpu(monkeypatch):
    """Pretends to be a CPU with these flags and no GPU."""

    def pretend(*flags):
        monkeypatch.setattr(hardware, "cpu_flags", lambda: flags)
        monkeypatch.setattr(hardware, "gpus", lambda: [])

    return pretend


def test_fingerprint_needs_no_framework():
    program = (
        "import sys, json; from keras16 import hardware, measure\n"
        "found = hardware.fingerprint()\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'jax', 'mlflow'} & set(sys.modules)\n"
        "print(json.dumps([found, sorted(heavy)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )
    found, heavy = json.loads(done.stdout)
    assert heavy == []
    assert all(isinstance(value, str) for value in found.values())
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert int(found["cores"]) >= 1
    assert found["backend"] == "jax"
    assert found["cpu"]


def test_backend_is_the_one_that_keras_reads(monkeypatch, tmp_path):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert hardware.backend() == "tensorflow"
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    assert hardware.backend() == "jax"
    (tmp_path / "keras.json").write_text("damaged")
    assert hardware.backend() == "tensorflow"


def test_commit_is_that_of_the_current_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert hardware.git_commit() == ""
    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "-m", "first")
    clean = hardware.git_commit()
    assert len(clean) == 12
    assert set(clean) <= set("0123456789abcdef")
    (tmp_path / "file").write_text("2")
    assert hardware.git_commit() == f"{clean}-dirty"


def test_commit_of_keras16_is_that_of_its_checkout_wherever_one_is(
    monkeypatch, tmp_path
):
    package = tmp_path / "checkout" / "keras16"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setattr(hardware, "__file__", str(package / "hardware.py"))
    monkeypatch.chdir(package.parent)
    git("init", "-q")
    own = ("-c", "user.name=n", "-c", "user.email=e")
    git(*own, "commit", "-q", "-m", "first", "--allow-empty")
    monkeypatch.chdir(tmp_path)
    installed_from(monkeypatch, None)
    assert hardware.own_commit() == ""  # in a repository, and no part of it
    git("-C", str(package), "add", "__init__.py")
    assert hardware.own_commit() == hardware.git_commit(package)
    assert hardware.own_commit().endswith("-dirty")


@pytest.mark.parametrize(
    ("told", "commit"),
    [
        ('{"url": "u", "vcs_info": {"vcs": "git", "commit_id": "%s"}}', "0123456789ab"),
        ('{"url": "u", "archive_info": {"hash": "%s"}}', ""),
        ("damaged %s", ""),
        ("[]%.0s", ""),
    ],
)
def test_commit_of_an_installed_copy_is_what_pip_wrote_down(
    monkeypatch, tmp_path, told, commit
):
    monkeypatch.setattr(hardware, "__file__", str(tmp_path / "hardware.py"))
    installed_from(monkeypatch, told % ("0123456789ab" + 28 * "c"))
    assert hardware.own_commit() == commit


def installed_from(monkeypatch, direct_url):
    class Installed:
        def read_text(self, name):
            return direct_url if name == "direct_url.json" else None

    monkeypatch.setattr(
        hardware.importlib.metadata, "distribution", lambda name: Installed()
    )


def git(*arguments):
    subprocess.run(["git", *arguments], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("flags", "native"),
    [
        (("avx2", "avx512f", "avx512_bf16"), False),
        (("avx512_fp16",), True),
        (("amx_bf16",), False),
        (("amx_bf16", "amx_fp16"), True),
        (("asimdhp",), True),
        ((), False),
    ],
)
def test_native_float16_by_flag(cpu, monkeypatch, flags, native):
    monkeypatch.setattr(hardware.kernels, "libraries", list)
    cpu(*flags)
    assert hardware.native_float16() is native
    line = hardware.expectation("16")
    assert ("emulates it through float32" in line) is not native
    assert "\n" not in line


@pytest.mark.parametrize(
    ("flags", "fast"),
    [
        (("avx512_fp16",), False),  # the gradient of a kernel is oneDNN's reference
        (("avx512_fp16", "amx_bf16"), False),
        (("avx512_fp16", "amx_fp16"), True),
        (("asimdhp",), True),
        ((), False),
    ],
)
def test_arithmetic_is_not_enough_for_fast_kernels(cpu, flags, fast):
    cpu(*flags)
    assert hardware.float16_kernels() is fast


@pytest.mark.parametrize("are_there", [False, True])
def test_arithmetic_without_kernels_is_told(cpu, monkeypatch, are_there):
    monkeypatch.setattr(hardware.kernels, "libraries", lambda: LIBRARIES * are_there)
    cpu("avx2", "avx512bw", "avx512_fp16", "amx_bf16")
    assert ("slower run" in hardware.expectation("16")) is not are_there
    cpu("avx512_fp16")
    assert "slower run" in hardware.expectation("16")


def test_own_kernels_without_arithmetic_are_told(cpu, monkeypatch):
    monkeypatch.setattr(hardware, "backend", lambda: "tensorflow")
    monkeypatch.setattr(hardware.kernels, "libraries", lambda: LIBRARIES)
    for flags, vectors in (
        (("avx2", "avx512f", "avx512bw"), "AVX-512"),
        (("avx2", "avx512f"), "AVX2"),
    ):
        cpu(*flags)
        assert hardware.own_kernels() == vectors
        assert "keras16's kernels" in hardware.expectation("16")
        assert "layers, less of others" in hardware.expectation("mixed")
        assert "natively" not in hardware.expectation("mixed_bf16")
    monkeypatch.setattr(hardware, "gpus", lambda: ["NVIDIA H100"])
    assert hardware.own_kernels() == ""
    monkeypatch.setattr(hardware, "gpus", list)
    cpu("avx512f")
    assert hardware.own_kernels() == ""
    assert "emulates it" in hardware.expectation("16")


def test_expectation_speaks_of_the_precision_that_was_asked_for(cpu):
    cpu("avx512f", "avx512_bf16")
    assert hardware.expectation("32") == ""
    assert "no native float16" in hardware.expectation("mixed")
    assert "bfloat16 natively" in hardware.expectation("bf16")
    cpu("avx512_fp16")
    assert "no native bfloat16" in hardware.expectation("mixed_bf16")


def test_expectation_on_a_gpu_names_it(cpu, monkeypatch):
    cpu("avx2")
    monkeypatch.setattr(hardware, "gpus", lambda: ["NVIDIA H100"])
    assert hardware.expectation("16").startswith("NVIDIA H100 multiplies float16")


@pytest.mark.parametrize("visible", ["", "-1"])
def test_hidden_gpus_are_not_listed(monkeypatch, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert hardware.gpus() == []


def test_driver_is_asked_for_gpus(monkeypatch):
    monkeypatch.setattr(hardware, "_output", lambda *command: "NVIDIA A\nNVIDIA B")
    hardware._driver_gpus.cache_clear()
    assert hardware._driver_gpus(None) == ("NVIDIA A", "NVIDIA B")
    hardware._driver_gpus.cache_clear()


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64") or not hasattr(os, "fork"),
    reason="asks an x86-64 CPU",
)
def test_cpuid_agrees_with_the_system():
    structured = hardware._cpuid_eax(0, 0)
    assert structured >= 7  # the highest leaf: every x86-64 since 2013
    assert hardware._cpuid_eax(structured + 1, 0) == 0
    listed = pathlib.Path("/proc/cpuinfo").read_text()
    avx512_bf16 = 1 << 5  # leaf 7.1, EAX
    assert bool(hardware._cpuid_eax(7, 1) & avx512_bf16) == ("avx512_bf16" in listed)


def test_cpuid_is_not_asked_elsewhere(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert hardware._cpuid_eax(0, 0) == 0
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    assert hardware._cpuid_eax(0, 0) == 0


def test_amx_float16_is_found_though_the_system_does_not_list_it(monkeypatch):
    monkeypatch.setattr(hardware, "_cpuinfo", lambda key: "avx2 amx_bf16 fxsr")
    monkeypatch.setattr(hardware, "_cpuid_eax", lambda leaf, subleaf: 1 << 21)
    hardware.cpu_flags.cache_clear()
    assert hardware.cpu_flags() == ("avx2", "amx_bf16", "amx_fp16")
    hardware.cpu_flags.cache_clear()


def test_commands_that_fail_give_nothing():
    assert hardware._output("no-such-program") == ""
    assert hardware._output(sys.executable, "-c", "raise SystemExit(1)") == ""
    assert hardware._output(sys.executable, "-c", "print(' a ')") == "a"


# Bytes


@pytest.fixture(scope="module")
def model():
    import keras

    layers = [
        keras.Input((10,)),
        keras.layers.Dense(4, dtype="float16"),  # 44 numbers of 2 bytes
        keras.layers.Dropout(0.5, dtype="float16"),  # a seed: 2 integers of 8 bytes
        keras.layers.BatchNormalization(dtype="bfloat16"),  # 16 numbers of 2 bytes
        keras.layers.Dense(1, dtype="float32"),  # 5 numbers of 4 bytes
    ]
    return keras.Sequential(layers)


def test_weight_bytes_are_counted_as_they_lie_in_memory(model):
    assert measure.weight_bytes(model) == 44 * 2 + 2 * 8 + 16 * 2 + 5 * 4
    assert measure.parameters(model) == 44 + 16 + 5


def test_optimizer_bytes_count_slots_and_counters(model):
    import keras

    adam = keras.optimizers.Adam()
    adam.build(model.trainable_variables)
    trained = 2 * (44 + 8) + 4 * 5  # bytes of what is trained; Adam keeps two of each
    assert measure.optimizer_bytes(adam) == 2 * trained + 8 + 4
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    scaled.build(model.trainable_variables)
    assert measure.optimizer_bytes(scaled) == 2 * trained + 2 * (8 + 4) + 8 + 4
    assert measure.optimizer_bytes(None) == 0


@pytest.mark.parametrize(
    ("dtype", "size"),
    [("float16", 2), ("bfloat16", 2), ("float32", 4), ("int64", 8), ("bool", 1)],
)
def test_item_bytes(dtype, size):
    assert measure.item_bytes(dtype) == size


def test_peak_memory_holds_what_was_held():
    program = (
        "from keras16 import measure; before = measure.peak_memory_bytes()\n"
        "block = bytearray(2**28); del block\n"
        "print(before, measure.peak_memory_bytes())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, cwd=ROOT
    )
    before, after = map(int, done.stdout.split())
    assert 2**20 < before < 2**28  # of the child: this process holds TensorFlow
    assert 2**28 < after < 2**28 + 2 * before


# Time


def test_median_leaves_the_first_epoch_out():
    assert measure.median_epoch_seconds([9.0, 1.0, 3.0, 2.0]) == 2.0
    assert measure.median_epoch_seconds([9.0, 1.0, 2.0]) == 1.5
    assert measure.median_epoch_seconds([9.0]) is None
    assert measure.median_epoch_seconds([]) is None


@pytest.fixture
def now(monkeypatch):
    """A clock that is set by hand."""
    hand = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: hand[0])
    return hand


def test_clock_leaves_pauses_out(now):
    clock = measure.EpochClock()
    clock.start()
    now[0] += 2
    with clock.paused():
        now[0] += 50
    now[0] += 1
    assert clock.stop() == 3
    now[0] += 50
    assert clock.stop() == 3


def test_clock_starts_each_epoch_from_zero(now):
    clock = measure.EpochClock()
    assert clock.stop() == 0
    clock.start()
    now[0] += 7
    clock.pause()
    clock.pause()
    now[0] += 7
    clock.resume()
    clock.resume()
    now[0] += 1
    assert clock.stop() == 8
    clock.start()
    now[0] += 2
    assert clock.stop() == 2


def test_a_process_beside_this_one_is_felt_and_its_own_threads_are_not(monkeypatch):
    spins = "import sys\nprint(flush=True)\nwhile True: pass"
    program = [sys.executable, "-c", spins]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as other:
        other.stdout.readline()  # it runs
        load, beyond = measure.ForeignLoad(), measure.ForeignLoad(family=True)
        time.sleep(2)
        felt, not_ours = load.cores(), beyond.cores()
        other.kill()
    assert felt > 0.3
    assert felt - not_ours > 0.3  # this process has started it
    # Two cores of four are busy for ten seconds, with this process alone.
    moments = iter([(0.0, 100.0, 7.0), (10.0, 120.0, 27.0)])
    monkeypatch.setattr(measure.ForeignLoad, "_now", lambda self: next(moments))
    assert measure.ForeignLoad().cores() == 0
