"""Keeps a command's output to what the command has to say."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

from keras16 import hardware

LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@contextlib.contextmanager
def results_only() -> Iterator[None]:
    """Sends to standard error what libraries print meanwhile on standard output."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def import_tensorflow() -> None:
    """Imports TensorFlow without its start-up messages.

    They are written before its own logger is set up and so whatever
    `TF_CPP_MIN_LOG_LEVEL` says; hence the descriptor itself is held back meanwhile.
    Whoever sets that variable sees everything. Nothing is imported where Keras runs
    on another backend.
    """
    if LEVEL in os.environ or os.environ.get("KERAS_BACKEND", "tensorflow") == "jax":
        return
    # Without a GPU its one error is that there is none.
    os.environ[LEVEL] = "2" if hardware.gpus() else "3"
    for name in ("absl", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with held_back_stderr():
        importlib.import_module("tensorflow")


def import_tensorflow_in_child() -> None:
    """The same in a process that inherits the level which `import_tensorflow` set."""
    os.environ.pop(LEVEL, None)
    import_tensorflow()


@contextlib.contextmanager
def held_back_stderr() -> Iterator[None]:
    """Drops what C++ writes on standard error; shows it all where the block fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
