"""A run is known by the user's files that it imports, and by no other."""

import dataclasses
import os

import pytest

from keras16.execution import identity
from keras16.study import Run

NET = """
import keras
import parts
from pack import wide

def build():
    from later import deep
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A net, the modules and the package that it imports, and a working folder."""
    home, work = tmp_path / "nets", tmp_path / "work"
    (home / "pack" / "inner").mkdir(parents=True)
    work.mkdir()
    monkeypatch.chdir(work)
    (home / "net.py").write_text(NET)
    (home / "parts.py").write_text("import helper\nfrom shared import width\n")
    (home / "helper.py").write_text("one = 1\n")
    (home / "later.py").write_text("deep = 1\n")
    (home / "pack" / "__init__.py").write_text("from .inner.core import *\n")
    (home / "pack" / "wide.py").write_text("from . import narrow\n")
    (home / "pack" / "narrow.py").write_text("import keras16.layers\n")
    (home / "pack" / "unused.py").write_text("two = 2\n")
    (home / "pack" / "inner" / "core.py").write_text("from ..deepest import x\n")
    (home / "pack" / "deepest.py").write_text("x = 1\n")
    (home / "keras16.py").write_text("mine = True\n")
    (work / "shared.py").write_text("width = 1\n")
    (work / "helper.py").write_text("another = 1\n")  # the net's folder comes first
    return home


def known(folder):
    """The names of the files that tell the net, relative to both folders' home."""
    return {
        path.relative_to(folder.parent).as_posix()
        for path in identity.sources(folder / "net.py")
    }


IMPORTED = {
    "nets/net.py",
    "nets/parts.py",
    "nets/helper.py",
    "nets/later.py",
    "nets/pack/__init__.py",
    "nets/pack/wide.py",
    "nets/pack/narrow.py",
    "nets/pack/inner/core.py",
    "nets/pack/deepest.py",
    "work/shared.py",
}


def test_the_sources_are_what_is_imported_directly_or_not(folder):
    assert known(folder) == IMPORTED
    assert identity.sources(folder / "none.py") == []


def test_a_file_beside_the_net_changes_nothing_and_one_that_it_imports_does(folder):
    run = Run(model=f"{folder}/net.py:build")
    before = identity.key(run)
    (folder / "notes.py").write_text("# note\n")
    (folder / "pack" / "unused.py").write_text("two = 3\n")
    assert identity.key(run) == before
    (folder / "pack" / "deepest.py").write_text("x = 22\n")
    after = identity.key(run)
    assert after != before
    (folder / "net.py").write_text(NET + "import notes\n")
    imported = identity.key(run)
    assert imported != after
    (folder / "notes.py").write_text("# another note\n")
    assert identity.key(run) != imported


@pytest.mark.parametrize(
    "line",
    [
        "import importlib",
        "from importlib import import_module",
        "made = __import__('notes')",
        "exec(open('notes.py').read())",
        "import sys; sys.path.append('..')",
        "from sys import path",
        "import pkgutil",
        "this is no Python",
    ],
)
def test_where_code_is_found_by_other_means_the_whole_folder_counts(folder, line):
    (folder / "notes.py").write_text("# note\n")
    (folder / "mine.py").write_text("STUDY = None\n")
    (folder / "helper.py").write_text(line + "\n")
    found = known(folder)
    assert found > IMPORTED | {"nets/notes.py", "nets/pack/unused.py"}
    assert "nets/mine.py" not in found


def test_methods_called_like_what_runs_code_do_not_count(folder):
    (folder / "notes.py").write_text("# note\n")
    (folder / "helper.py").write_text("import os\nos.path.join('a')\nnet.eval()\n")
    assert known(folder) == IMPORTED


def test_a_study_with_a_net_in_it_is_told_by_all_of_it(folder):
    mine = folder / "mine.py"
    mine.write_text("STUDY = None\ndef build(): return 1\n")
    run = dataclasses.replace(Run(), model=f"{mine}:build")
    before = identity.key(run)
    mine.write_text("STUDY = None\ndef build(): return 22\n")
    assert identity.key(run) != before


def test_files_that_import_each_other_come_to_an_end(folder):
    (folder / "helper.py").write_text("import net, parts\n")
    assert known(folder) == IMPORTED


def test_a_file_is_read_again_where_it_has_changed(folder):
    helper = folder / "helper.py"
    assert "nets/notes.py" not in known(folder)
    (folder / "notes.py").write_text("# note\n")
    helper.write_text("import notes\n")
    os.utime(helper, ns=(1, 1))
    assert known(folder) == IMPORTED | {"nets/notes.py"}
