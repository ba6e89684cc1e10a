"""A question that another process answers, whatever else is printed there."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from keras16.errors import UserError
from keras16.execution import child
from keras16.execution.environment import for_child

ASKED = """
import os, pathlib, sys, time
from keras16.execution import child

def given(question):
    if question == "path":
        return {"found": sys.path, "statistics": __import__("statistics").__file__}
    if question == "own":
        import own_module
        return {"found": own_module.width}
    if question == "prints":
        os.system("echo a word of the system")
    if question == "bytes":
        os.write(1, b"\\xff\\n")
        os.write(2, b"\\xff\\n")
        os._exit(3)
    if question == "asks":
        try:
            return {"found": input()}
        except EOFError:
            return {"found": "nobody there"}
    if question == "leaves":
        import subprocess, threading
        left = subprocess.Popen(["sleep", "40"])
        threading.Thread(target=time.sleep, args=(40,)).start()
        return {"found": left.pid}
    if question == "refuses":
        from keras16.errors import UserError
        raise UserError("no such thing")
    if question == "waits":
        pathlib.Path("pid").write_text(str(os.getpid()))
        time.sleep(60)
    return {"found": question}

if __name__ == "__main__":
    if "--noise" in os.environ.get("NOISE", ""):
        print("a word of before", flush=True)
        os.kill(os.getpid(), 9)
    child.answer(given)
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working folder, and a module elsewhere that answers."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "asked.py").write_text(ASKED)
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_an_answer_is_what_was_told_and_nothing_that_was_printed(home):
    assert child.ask("asked", "prints") == {"found": "prints"}
    assert child.ask("asked", "bytes") == {"problem": "\ufffd"}
    with pytest.raises(UserError, match="no such thing"):
        child.ask("asked", "refuses")


def test_a_net_that_asks_for_input_gets_none(home):
    assert child.ask("asked", "asks") == {"found": "nobody there"}


def test_what_a_net_leaves_running_keeps_nobody_waiting(home):
    began = time.monotonic()
    left = psutil.Process(child.ask("asked", "leaves")["found"])
    assert time.monotonic() - began < 20
    left.kill()


def test_a_process_that_printed_and_was_killed_has_not_answered(home, monkeypatch):
    monkeypatch.setenv("NOISE", "--noise")
    assert child.ask("asked", 1) == {
        "problem": "its process was ended by signal 9: is there enough memory?"
    }


def test_the_user_s_modules_are_found_after_all_others(home):
    (home / "statistics.py").write_text("mean = None\n")
    (home / "own_module.py").write_text("width = 3\n")
    told = child.ask("asked", "path")
    assert told["found"].index(str(home)) == len(told["found"]) - 1
    assert pathlib.Path(told["statistics"]).parent != home
    assert child.ask("asked", "own") == {"found": 3}


def test_a_wish_to_stop_ends_the_process(home):
    stop = threading.Event()
    threading.Timer(1.5, stop.set).start()
    began = time.monotonic()
    with pytest.raises(child.Stopped):
        child.ask("asked", "waits", stop)
    assert time.monotonic() - began < 20
    assert not psutil.pid_exists(int((home / "pid").read_text()))


def pid(home):
    """Of the process that was asked, once it answers."""
    file = home / "pid"
    for _ in range(400):
        if file.exists() and file.read_text():
            return int(file.read_text())
        time.sleep(0.05)
    pytest.fail("it was not asked")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_terminal_s_ctrl_c_is_for_the_one_who_asked(home, number):
    """A process that is killed leaves no other behind."""
    program = (
        "import signal, sys; from keras16.execution import child\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(130))\n"
        "print(child.ask('asked', 'waits'))"
    )
    asking = subprocess.Popen(
        [sys.executable, "-c", program],
        env=for_child(),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    asked = psutil.Process(pid(home))
    os.killpg(asking.pid, number)
    out, _ = asking.communicate(timeout=20)
    assert out == ""
    assert asking.returncode == (130 if number == signal.SIGINT else -number)
    asked.wait(timeout=20)
