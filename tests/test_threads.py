"""Jobs of the kernels' threads: each is told of its own tasks that had no memory."""

import ctypes
import pathlib
import shutil
import subprocess
import sys
import threading

import pytest

from keras16 import kernels

SOURCE = pathlib.Path(kernels.__file__).with_name("threads.c")
TASK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int)
MUCH, LITTLE = 1e9, 0.0  # nanoseconds: on all cores, and on the calling thread alone
SECONDS = 20.0

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("gcc"),
    reason="kernels are compiled with gcc on Linux",
)


@pytest.fixture(scope="module")
def threads(tmp_path_factory):
    library = tmp_path_factory.mktemp("threads") / "threads.so"
    options = ("-std=gnu11", "-fPIC", "-shared", "-pthread")
    subprocess.run(["gcc", *options, SOURCE, "-o", library], check=True)
    return ctypes.CDLL(library)


def run(threads, task, count=1, work=LITTLE):
    """Whether all tasks had memory."""
    called = TASK(lambda context, number: task(number))
    return bool(threads.run_in_parallel(count, ctypes.c_double(work), called, None))


@pytest.mark.parametrize("work", [MUCH, LITTLE])
def test_every_task_is_done_once_and_a_failure_is_told_once(threads, work):
    done = []

    def fail_at_7(number):
        done.append(number)
        if number == 7:
            threads.out_of_memory()

    assert not run(threads, fail_at_7, count=50, work=work)
    assert sorted(done) == list(range(50))
    assert run(threads, done.append, count=50, work=work)


@pytest.mark.parametrize("work", [MUCH, LITTLE])
def test_a_job_inside_a_task_fails_for_itself(threads, work):
    told = []

    def with_a_job(number):
        told.append(run(threads, lambda inner: threads.out_of_memory()))

    assert run(threads, with_a_job, count=4, work=work)
    assert told == [False] * 4

    def fails_after_one(number):
        told.append(run(threads, lambda inner: None, count=2, work=MUCH))
        threads.out_of_memory()

    assert not run(threads, fails_after_one, count=4, work=work)
    assert told[4:] == [True] * 4


def test_of_two_jobs_at_once_the_right_one_is_told(threads):
    told = {}
    failed, ended = threading.Event(), threading.Event()

    def fails_early(number):
        threads.out_of_memory()
        failed.set()
        ended.wait(SECONDS)

    def waits(number):
        failed.wait(SECONDS)

    def job(name, task, work):
        told[name] = run(threads, task, count=2, work=work)

    first = threading.Thread(target=job, args=("fails", fails_early, LITTLE))
    second = threading.Thread(target=job, args=("waits", waits, MUCH))
    first.start()
    second.start()
    second.join()
    ended.set()
    first.join()
    assert told == {"fails": False, "waits": True}
