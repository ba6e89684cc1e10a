"""`FILE.py:function`: loaded by path, called, and its errors told in one line."""

from __future__ import annotations

import sys

import pytest

from keras16 import user_code
from keras16.errors import UserError


def refusal(call, *args, **kwargs) -> str:
    with pytest.raises(UserError) as caught:
        call(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "mine.py") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def test_load_and_call(write):
    spec = write("def add(a, b):\n    return a + b\n") + ":add"
    add = user_code.load_function(spec)
    assert user_code.call(add, 2, 3, spec=spec) == 5


def test_neighbours_can_be_imported_now_and_later(write, tmp_path):
    write("one = 1\n", "first_neighbour.py")
    write("two = 2\n", "second_neighbour.py")
    text = """
import first_neighbour
def load():
    import second_neighbour
    return first_neighbour.one + second_neighbour.two
"""
    spec = write(text) + ":load"
    before = list(sys.path)
    assert user_code.call(user_code.load_function(spec), spec=spec) == 3
    assert sys.path == before
    assert not list(tmp_path.glob("__pycache__/mine*"))


def test_an_edit_is_seen_and_an_unchanged_file_runs_once(write):
    spec = write("def load():\n    return 1\n") + ":load"
    first = user_code.load_function(spec)
    assert user_code.load_function(spec) is first
    write("def load():\n    return 2\n")
    assert user_code.load_function(spec)() == 2


def test_prints_go_to_standard_error(write, capsys):
    spec = write("print('one')\ndef load():\n    print('two')\n") + ":load"
    user_code.call(user_code.load_function(spec), spec=spec)
    assert capsys.readouterr() == ("", "one\ntwo\n")


def test_our_own_future_imports_stay_out(write):
    spec = write("def load(a: int): ...\n") + ":load"
    assert user_code.load_function(spec).__annotations__ == {"a": int}


def test_classes_can_find_their_module(write):
    text = "import dataclasses\n@dataclasses.dataclass\nclass Part:\n    a: 'int' = 1\n"
    assert user_code.load_function(write(text) + ":Part")().a == 1


@pytest.mark.parametrize("spec", ["mine", "mine.py", "mine.py:", "mine.txt:load", ":"])
def test_no_function_named(spec):
    assert "FILE.py:function" in refusal(user_code.load_function, spec)


def test_no_file(tmp_path):
    text = refusal(user_code.load_function, f"{tmp_path}/none.py:load")
    assert "there is no file" in text
    assert "none.py" in text


def test_no_function(write):
    spec = write("import os\nfrom os.path import join\ndef one(): ...\ndef two(): ...")
    text = refusal(user_code.load_function, spec + ":three")
    assert "no function 'three': it has one, two." in text
    assert "no function at all" in refusal(user_code.load_function, write("") + ":x")
    number = write("number = 1\n") + ":number"
    told = refusal(user_code.load_function, number)
    assert "no function 'number' (it is of type int): it defines no" in told


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\ndef load(:\n", "mine.py, line 2: SyntaxError"),
        ("a = 1\n\nb = 1 / 0\n", "mine.py, line 3: ZeroDivisionError"),
        ("import nowhere_to_be_found\n", "line 1: ModuleNotFoundError"),
        ("import sys\nsys.exit('bye')\n", "mine.py, line 2: SystemExit: bye"),
        ("a = '\0'\n", "mine.py"),
    ],
)
def test_errors_of_the_file(write, text, expected):
    assert expected in refusal(user_code.load_function, write(text) + ":load")


def test_a_failed_file_is_run_again(write):
    spec = write("import nowhere_to_be_found\ndef load(): ...\n") + ":load"
    assert "(install nowhere_to_be_found" in refusal(user_code.load_function, spec)
    assert "(install nowhere_to_be_found" in refusal(user_code.load_function, spec)


def test_errors_of_the_call(write):
    text = """
import json
def load():
    return json.loads("{")
def long():
    raise ValueError("a\\nb " * 500)
def needs(a): ...
"""
    path = write(text)
    load, long, needs = (
        user_code.load_function(f"{path}:{name}") for name in ("load", "long", "needs")
    )
    told = refusal(user_code.call, load, spec=f"{path}:load")
    assert "mine.py, line 4: in load(): JSONDecodeError: Expecting" in told
    told = refusal(user_code.call, long, spec=f"{path}:long")
    assert "a b a b" in told
    assert len(told) < 500
    told = refusal(user_code.call, needs, spec=f"{path}:needs")
    assert "missing 1 required positional argument: 'a'" in told


def test_the_cause_is_kept_and_user_errors_pass(write):
    text = """
from keras16.errors import UserError
def load():
    raise KeyError("x")
def refuse():
    raise UserError("just so")
"""
    path = write(text)
    with pytest.raises(UserError) as caught:
        user_code.call(user_code.load_function(f"{path}:load"), spec=f"{path}:load")
    assert isinstance(caught.value.__cause__, KeyError)
    refuse = user_code.load_function(f"{path}:refuse")
    assert refusal(user_code.call, refuse, spec=f"{path}:refuse") == "just so"
