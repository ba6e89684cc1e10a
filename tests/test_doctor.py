"""`keras16 doctor`: what it says of machines that are pretended, and of this one."""

import dataclasses
import json
import re
import sys

import pytest
from click.testing import CliRunner

from keras16 import cli, doctor, hardware
from keras16.doctor import facts as looked_up
from keras16.statistics.medians import Interval

GPU = hardware.Gpu("NVIDIA H100", "9.0", "550.54")


def machine(**given):
    """A machine on which nothing is wrong, but for what is given."""
    usual = {
        "cpu": "A CPU",
        "cores": 4,
        "native_float16": True,
        "versions": {"keras": "3.15.1", "tensorflow": "2.21.0", "jax": ""},
        "cuda_build": True,
        "cuda_version": "12.5.1",
        "cuda_libraries": True,
    }
    return doctor.Facts(**{**usual, **given})


def said(**given):
    """Level, problem and remedy of all but the notes, in one text each."""
    found = doctor.findings(machine(**given))
    return [
        f"{one.level}: {one.problem} {one.remedy}"
        for one in found
        if one.level != "note"
    ]


def test_nothing_is_wrong_with_a_machine_on_which_nothing_is_wrong():
    assert said() == []
    assert said(gpus=(GPU,), backend_gpus=("NVIDIA H100",)) == []
    assert not doctor.is_broken(machine())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"cuda_build": False}, ["built for the CPU alone", "keras16[gpu]"]),
        ({"cuda_libraries": False}, ["libraries are not installed", "keras16[gpu]"]),
        (
            {"gpus": (hardware.Gpu("NVIDIA H100", "9.0", "510.47"),)},
            ["driver 510.47 is too old for CUDA 12.5.1", "driver 525"],
        ),
        ({}, ["the driver lists it", "TF_CPP_MIN_LOG_LEVEL=0"]),
        ({"system": "Windows"}, ["native Windows since 2.11", "WSL2"]),
        (
            {"backend": "jax", "cuda_build": None, "cuda_libraries": False},
            ["jax doesn't see", "jax[cuda12]"],
        ),
    ],
)
def test_a_gpu_that_is_not_seen_is_told_with_its_remedy(given, told, monkeypatch):
    monkeypatch.setattr(
        "keras16.doctor.advice.SUPPORTED_BACKENDS", ("tensorflow", "jax")
    )
    (line,) = said(**{"gpus": (GPU,), **given})
    assert line.startswith("slow: ")
    for words in told:
        assert words in line


@pytest.mark.parametrize(
    ("capability", "told"),
    [("5.2", "no float16 arithmetic"), ("6.1", "no tensor cores"), ("7.5", "")],
)
def test_an_old_gpu_is_told(capability, told):
    gpu = hardware.Gpu("A GPU", capability, "550.54")
    found = said(gpus=(gpu,), backend_gpus=("A GPU",))
    assert [told in line for line in found] == ([True] if told else [])


def test_what_is_about_tensorflow_is_not_said_on_jax():
    spoilt = {
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "OMP_NUM_THREADS": "1",
        "TF_USE_LEGACY_KERAS": "1",
    }
    given = {
        "system": "Darwin",
        "tensorflows": ("tensorflow", "tf-nightly"),
        "environment": spoilt,
    }
    assert len(doctor.findings(machine(**given))) == 6
    assert doctor.findings(machine(**given, backend="jax")) == []
    for words in ("oneDNN", "oneDNN's"):
        assert words not in str(doctor.description(machine(backend="jax")))


def test_a_mac_has_no_gpu_support():
    notes = doctor.findings(machine(system="Darwin"))
    assert any("macOS" in one.problem and one.level == "note" for one in notes)


@pytest.mark.parametrize("switch", ["", "0", "vectors", "avx2", "axv2"])
def test_a_switch_that_nobody_knows_is_told(switch):
    notes = doctor.findings(machine(environment={"KERAS16_KERNELS": switch}))
    told = [one.remedy for one in notes if "KERAS16_KERNELS" in one.problem]
    assert told == (["Unset it, or give 0, vectors or avx2."] * (switch == "axv2"))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"python": (3, 9)}, "Python 3.9 is too old"),
        ({"versions": {"keras": "3.9.2"}}, "Keras 3.9.2 is older than 3.15"),
        ({"backend": "torch"}, "KERAS_BACKEND=torch is not supported"),
        (
            {"backend_error": "ImportError: no."},
            "tensorflow can't be used: ImportError: no. pip install tensorflow --force",
        ),
        (
            {
                "backend_error": "ModuleNotFoundError: No module named 'tensorflow'",
                "versions": {"tensorflow": "", "jax": "0.10.2"},
            },
            "tensorflow is not installed. Set KERAS_BACKEND=jax, which is, or pip ",
        ),
        (
            {
                "backend": "jax",
                "backend_error": "ModuleNotFoundError: No module named 'jax'",
                "versions": {"tensorflow": "", "jax": ""},
            },
            "jax is not installed. pip install jax.",
        ),
        (
            {"tensorflows": ("tensorflow", "tensorflow-cpu")},
            "pip uninstall tensorflow tensorflow-cpu",
        ),
    ],
)
def test_what_is_broken_is_told_with_its_remedy(given, told):
    (line,) = said(**given)
    assert line.startswith("broken: ") and told in line
    assert doctor.is_broken(machine(**given))


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"TF_ENABLE_ONEDNN_OPTS": "0"}, "turns off the fast float16 kernels"),
        ({"TF_ENABLE_ONEDNN_OPTS": "1"}, ""),
        ({"OMP_NUM_THREADS": "1"}, "OMP_NUM_THREADS=1 leaves cores of 4 idle"),
        ({"OMP_NUM_THREADS": "4", "TF_NUM_INTRAOP_THREADS": "0"}, ""),
        ({"MLFLOW_TRACKING_URI": "file:///runs"}, "store of files"),
        ({"MLFLOW_TRACKING_URI": "./mlruns"}, "store of files"),
        ({"MLFLOW_TRACKING_URI": "sqlite:///runs.db"}, ""),
    ],
)
def test_what_the_environment_spoils_is_told(environment, told):
    found = said(environment=environment)
    assert [told in line for line in found] == ([True] if told else [])


def test_notes_come_last_and_tell_of_traps_that_keras16_is_not_in():
    given = {"old_file_store": True, "environment": {"TF_USE_LEGACY_KERAS": "1"}}
    found = doctor.findings(machine(**given, backend="tensorflow"))
    assert [one.level for one in found] == ["note", "note", "note"]
    notes = " ".join(one.problem for one in found)
    for words in ("remapper", "old store of files", "Keras 2"):
        assert words in notes
    on_gpu = doctor.findings(machine(backend_gpus=("A GPU",), gpus=(GPU,)))
    assert on_gpu == []


def test_a_cpu_without_f16c_is_told():
    (line,) = said(f16c=False)
    assert "no F16C" in line


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ((2.0, 1.1, 2.5), "faster than 32"),
        ((2.0, 0.8, 2.5), "lost in the noise: ask again when"),
        ((1.0, 0.9, 1.1), "about as fast"),
        ((1.0, 0.5, 2.0), "lost in the noise"),
        ((0.5, 0.4, 0.9), "slower than 32"),
        ((0.5, 0.4, 1.2), "lost in the noise"),
    ],
)
def test_what_to_expect_follows_from_what_was_measured(times, words):
    speed = doctor.Speed(2e12, 1e12, 0.05, 0.1, Interval(*times))
    text = doctor.expectation(machine(speed=speed))
    assert "2e+03 GFLOP/s in float16 and 1e+03 in float32" in text
    assert "(2 times as fast)" in text and words in text
    assert f"{times[1]:.2g} to {times[2]:.2g}). " in text
    assert doctor.expectation(machine()) == ""


def test_the_description_leaves_out_what_is_not_there():
    rows = dict(doctor.description(machine(gpus=(GPU,), wsl=True)))
    assert rows["GPU"] == "NVIDIA H100, compute capability 9.0, driver 550.54"
    assert rows["packages"] == "keras 3.15.1, tensorflow 2.21.0"
    assert rows["native float16"].startswith("yes")
    assert rows["backend"] == "tensorflow, built for CUDA 12.5.1, sees no GPU"
    assert "WSL" in rows["system"]
    assert "environment" not in rows and "memory" not in rows
    off = machine(native_float16=False, environment={"TF_ENABLE_ONEDNN_OPTS": "0"})
    rows = dict(doctor.description(off))
    assert rows["native float16"].startswith("no") and rows["oneDNN"].startswith("off")
    assert rows["XLA"] == "compiles the steps of precisions 16 and mixed"


def test_missing_kernels_are_told_where_they_would_run():
    there = {"cpu_flags": ("avx2", "avx512bw", "avx512_fp16")}
    (found,) = said(**there)
    assert "kernels for this CPU are not there" in found and "Install GCC" in found
    (found,) = said(**there, environment={"KERAS16_KERNELS": "0"})
    assert "Unset KERAS16_KERNELS." in found
    assert said(**there, own_kernels="AVX-512") == []
    assert said(**there, float16_kernels=True) == []
    own = dict(doctor.description(machine(**there, own_kernels="AVX-512")))
    assert "keras16's kernels" in own["XLA"]
    assert own["keras16's kernels"] == "for AVX-512"


# Looking


def test_the_driver_is_asked_for_each_gpu(monkeypatch):
    answers = {"compute_cap": "9.0\n8.6\n", "driver_version": ""}

    def output(*command):
        return answers[command[1].removeprefix("--query-gpu=")]

    monkeypatch.setattr(hardware, "_driver_gpus", lambda visible: ("A", "B"))
    monkeypatch.setattr(hardware, "_output", output)
    found = hardware.gpu_details()
    assert found == (hardware.Gpu("A", "9.0", ""), hardware.Gpu("B", "8.6", ""))


def test_only_an_x86_cpu_can_lack_f16c(monkeypatch):
    for flags, converts in (("", True), ("fpu f16c", True), ("fpu avx", False)):
        monkeypatch.setattr(hardware, "_cpuinfo", lambda key, flags=flags: flags)
        assert hardware.converts_float16() is converts


def test_a_backend_that_breaks_is_a_fact(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras16.backend.tensorflow", None)
    found = doctor.gathered()
    assert "keras16.backend.tensorflow" in found.backend_error
    assert doctor.is_broken(found)


def test_a_backend_that_says_nothing_of_itself_is_asked_for_gpus(monkeypatch):
    import types

    from keras16 import backend

    monkeypatch.setattr(hardware, "gpu_details", lambda: (GPU,))
    for sees, names in ((True, ("NVIDIA H100",)), (False, ())):
        module = types.SimpleNamespace(has_gpu=lambda sees=sees: sees)
        monkeypatch.setattr(backend, "module", lambda module=module: module)
        assert doctor.gathered().backend_gpus == names


def test_old_runs_in_this_folder_are_seen(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(looked_up, "_asked_of_backend", lambda: ("", {}))
    assert not doctor.gathered().old_file_store
    (tmp_path / "mlruns" / "0").mkdir(parents=True)
    (tmp_path / "mlruns" / "0" / "meta.yaml").write_text("")
    assert doctor.gathered().old_file_store


# The command


def test_the_command_measures_this_machine(monkeypatch):
    from keras16.benchmark import ceilings

    monkeypatch.setattr(ceilings, "SIZES", (64,))
    done = CliRunner().invoke(cli.cli, ["doctor", "--json"])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["backend"] == "tensorflow" and found["cuda_build"] is not None
    assert found["versions"]["keras"] and found["cores"] >= 1
    assert 1e6 < found["speed"]["products16"] < 1e15
    assert 0 < found["speed"]["step16"] < 10
    times, low, high = found["speed"]["times"]
    assert 0 < low <= times <= high
    assert re.search("[Ee]xpect (of )?precision 16 ", found["expectation"])


def test_the_command_says_in_words_what_is_broken(monkeypatch):
    monkeypatch.setattr(
        doctor, "gathered", lambda: machine(backend="torch", cuda_build=None)
    )
    done = CliRunner().invoke(cli.cli, ["doctor"])
    assert done.exit_code == 1
    assert "broken: KERAS_BACKEND=torch is not supported. Set" in done.stdout
    assert "A CPU" in done.stdout and "Nothing is wrong" not in done.stdout


def test_the_command_says_where_nothing_is_wrong(monkeypatch):
    speed = doctor.Speed(2e12, 1e12, 0.1, 0.2, Interval(2.0, 1.9, 2.1))
    monkeypatch.setattr(doctor, "gathered", machine)
    monkeypatch.setattr(
        doctor, "measured", lambda facts: dataclasses.replace(facts, speed=speed)
    )
    done = CliRunner().invoke(cli.cli, ["doctor"])
    assert done.exit_code == 0
    assert "Expect precision 16 to train such nets faster" in done.stdout
    assert done.stdout.rstrip().endswith("Nothing is wrong.")
