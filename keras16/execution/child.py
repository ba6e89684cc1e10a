"""Asks a process of its own one question: JSON in, a JSON object in its last line."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import IO, Any

from keras16 import user_code
from keras16.errors import UserError
from keras16.execution.environment import (
    Parent,
    command,
    for_child,
    take_in_working_folder,
)

FULL = "is there enough memory?"  # the usual reason of signal 9
PARENT_GONE = 75  # exit status
SECONDS_BETWEEN_LOOKS = 0.2  # at a wish to stop

# Lines of TensorFlow's, absl's and XLA's own logs: for their times no two are equal.
LOGGED = re.compile(
    r"[IWE]\d{4} [\d:.]+ +\d+ \S+\] "
    r"|\d{4}-\d\d-\d\d [\d:.]+: [IWE] "
    r"|WARNING: All log messages before absl"
    r"|\*\*\* Check failure stack trace|@ +0x"
)
FATAL = re.compile(r"F\d{4} [\d:.]+ +\d+ |\d{4}-\d\d-\d\d [\d:.]+: F ")


class Stopped(Exception):
    """Whoever asked does not want the answer any more."""


def ask(
    module: str, question: Any, stop: threading.Event | None = None
) -> dict[str, Any]:
    """What `answer` in the main part of a module gives.

    Args:
        module: Its name.
        question: As JSON takes it.
        stop: Once set, the process is ended; None where nobody stops it.

    Returns:
        The answer; or {"problem": why there is none, in one line}.

    Raises:
        UserError: The module raised it.
        Stopped: `stop` was set.
    """
    code, out, err = _told(module, json.dumps(question), stop)
    found = object_in(last_line(out))
    if found is None:
        return {"problem": _why(code, err)}
    if "refused" in found:
        raise UserError(found["refused"])
    return found


def _told(
    module: str, question: str, stop: threading.Event | None
) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the process that answers."""
    # Files: the end of a pipe comes when all have closed it that the net has started.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            command(module),
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=err,
            env=for_child(),
            # Ctrl-C goes to every process of a terminal; this one decides.
            start_new_session=True,
        )
        try:
            with contextlib.suppress(OSError):  # it is gone: its code tells
                assert process.stdin is not None
                process.stdin.write(f"{question}\n".encode())
                process.stdin.flush()
            code = _waited_for(process, stop)
        finally:  # it must not go on alone
            process.kill()
            process.wait()
            with contextlib.suppress(OSError):
                process.stdin.close()  # type: ignore[union-attr]
        return code, _text(out), _text(err)


def _waited_for(process: subprocess.Popen[bytes], stop: threading.Event | None) -> int:
    while True:
        if stop is not None and stop.is_set():
            raise Stopped
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(SECONDS_BETWEEN_LOOKS)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def object_in(line: str) -> dict[str, Any] | None:
    """The object of a line; None where it is none: any library may print."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _why(code: int, log: str) -> str:
    """Why there is no answer; whoever kills a process leaves no word in its log."""
    if code == -9:  # of SIGKILL, which Windows has no name for
        return f"{ended(code)}: {FULL}"
    words = last_words(log)
    return (
        words if words and code >= 0 else ": ".join(filter(None, (ended(code), words)))
    )


def ended(code: int) -> str:
    """How a process ended, by its exit code."""
    if code < 0:
        return f"its process was ended by signal {-code}"
    return f"its process ended with code {code}"


def answer(function: Callable[[Any], dict[str, Any]]) -> None:
    """Answers the question in the first line of standard input.

    What libraries and the programs that they start print goes elsewhere. When
    standard input ends whoever asked is gone: then this process ends, too.
    """
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    take_in_working_folder()
    parent = Parent()
    question = json.loads(parent.line())
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        told = function(question)
    except UserError as error:
        told = {"refused": str(error)}
    except Exception as error:  # of any kind: the parent decides
        told = {"problem": user_code.reason(error)}
    print(json.dumps(told), file=out, flush=True)
    sys.stderr.flush()
    os._exit(0)  # whatever threads of the net's go on


def _end_with(parent: Parent) -> None:
    while parent.line():
        pass
    os._exit(PARENT_GONE)


def last_line(text: str) -> str:
    """The last line that says something; "" where none does."""
    lines = (line.strip() for line in reversed(text.splitlines()))
    return next(filter(None, lines), "")


def last_words(log: str) -> str:
    """The last line of a log that tells why a process ended; "" where none does.

    What a library logs is left out; of its fatal line only time and process are.
    """
    lines = (line for line in log.splitlines() if not LOGGED.match(line.strip()))
    return FATAL.sub("", last_line("\n".join(lines)), count=1)
