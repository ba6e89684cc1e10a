"""Asks a process of its own one question: JSON in, a JSON object in its last line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from keras16 import user_code
from keras16.errors import UserError
from keras16.execution.environment import for_child

# Lines of TensorFlow's, absl's and XLA's own logs: for their times no two are equal.
LOGGED = re.compile(
    r"[IWE]\d{4} [\d:.]+ +\d+ \S+\] "
    r"|\d{4}-\d\d-\d\d [\d:.]+: [IWE] "
    r"|WARNING: All log messages before absl"
    r"|\*\*\* Check failure stack trace|@ +0x"
)
FATAL = re.compile(r"F\d{4} [\d:.]+ +\d+ |\d{4}-\d\d-\d\d [\d:.]+: F ")


def ask(module: str, question: Any) -> dict[str, Any]:
    """What `answer` in the main part of a module gives.

    Args:
        module: Its name.
        question: As JSON takes it.

    Returns:
        The answer; or {"problem": why there is none, in one line}.

    Raises:
        UserError: The module raised it.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=for_child(),
    )
    try:
        out, err = process.communicate(json.dumps(question))
    except BaseException:  # Ctrl-C: the process must not go on alone
        process.kill()
        process.communicate()
        raise
    told = last_line(out)
    if not told:
        return {"problem": last_words(err) or f"code {process.returncode}"}
    found = json.loads(told)
    if "refused" in found:
        raise UserError(found["refused"])
    return found


def answer(function: Callable[[Any], dict[str, Any]]) -> None:
    """Answers the question on standard input; what libraries print goes elsewhere."""
    out, sys.stdout = sys.stdout, sys.stderr
    try:
        told = function(json.load(sys.stdin))
    except UserError as error:
        told = {"refused": str(error)}
    except Exception as error:  # of any kind: the parent decides
        told = {"problem": user_code.reason(error)}
    print(json.dumps(told), file=out)


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
