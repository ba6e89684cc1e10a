"""Runs all tests: `python -m tests [OPTIONS OF PYTEST]`.

TensorFlow keeps whatever it has compiled: in one process all tests would need more
than 20 GB. So the files are dealt out to some pytest processes, two at a time, which
is also twice as fast on two cores: compiling takes most of the time and one core.
"""

from __future__ import annotations

import concurrent.futures
import pathlib
import subprocess
import sys

# These take a minute or more each: they start first, each by itself.
LONG = (
    "test_applications.py",
    "test_purity.py",
    "test_optimizers_16.py",
    "test_losses.py",
    "test_twin.py",
    "test_training.py",
)
BATCHES = 8  # of the others
AT_A_TIME = 2
NOTHING_SELECTED = 5  # pytest's exit code


def batches() -> list[list[str]]:
    """The long test files, then the others in batches of about the same size."""
    folder = pathlib.Path(__file__).parent
    files = [file for file in folder.glob("test_*.py") if file.name not in LONG]
    dealt: list[tuple[int, list[str]]] = [(0, []) for _ in range(BATCHES)]
    for file in sorted(files, key=lambda file: (-file.stat().st_size, file.name)):
        least = min(range(BATCHES), key=lambda i: dealt[i][0])
        size, names = dealt[least]
        dealt[least] = (size + file.stat().st_size, [*names, str(file)])
    long = [[str(folder / name)] for name in LONG]
    return [*long, *(names for _, names in dealt if names)]


def run(names: list[str]) -> tuple[int, str]:
    """Exit code and output of pytest on some files."""
    command = [sys.executable, "-m", "pytest", "-q", *sys.argv[1:], *names]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.returncode, done.stdout


def main() -> int:
    """Runs the batches; the exit code is pytest's, of one that failed if any did."""
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        futures = [pool.submit(run, names) for names in batches()]
        for future in concurrent.futures.as_completed(futures):
            code, output = future.result()
            print(output, flush=True)
            if code not in (0, NOTHING_SELECTED):
                failed = code
    print("some tests failed" if failed else "all tests passed", flush=True)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
