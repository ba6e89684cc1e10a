"""Studies by name: files of pipelines/studies with a `STUDY`, and the user's own."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import pathlib
import pkgutil
from typing import TYPE_CHECKING, Any

from keras16.errors import UserError

if TYPE_CHECKING:
    from keras16.study import Study


def names() -> list[str]:
    """The studies there are, in alphabetical order."""
    folder = str(pathlib.Path(__file__).parent / "studies")
    found = (module.name for module in pkgutil.iter_modules([folder]))
    return sorted(name for name in found if not name.startswith("_"))


def load(name: str) -> Study:
    """The `STUDY` of a file.

    Args:
        name: Of a file of pipelines/studies, or the path of a `FILE.py`.

    Raises:
        UserError: There is none.
    """
    if name.endswith(".py"):
        return _own(name)
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {near[0]!r}? There" if near else "there"
        known = ", ".join(names())
        raise UserError(f"no study {name!r}: {hint} are {known}, and any FILE.py.")
    return importlib.import_module(f"{__package__}.studies.{name}").STUDY


def _own(path: str) -> Study:
    from keras16 import user_code
    from keras16.study import Study

    found: Any = user_code.load_module(pathlib.Path(path).expanduser())
    study = getattr(found, "STUDY", None)
    if not isinstance(study, Study):
        raise UserError(f"{path} has no STUDY: give it one of keras16.study.Study.")
    if study.name in names():
        raise UserError(
            f"{path}: {study.name} is a study of keras16's own: give yours another "
            "name."
        )
    from ._study_check import check

    check(study, path)
    return dataclasses.replace(study, file=path)
