"""Parts found by file name: to be a file in the folder is to be in the catalogue."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pathlib
import pkgutil
import re
from types import ModuleType
from typing import Any

from keras16.errors import UserError

CONTRACT = {
    "datasets": "load",
    "models": "build",
    "optimizers": "build",
    "schedules": "build",
}
# The usual depths of models that take one; of resnet and vit others work, too.
DEPTHS = {
    "densenet": (121, 169, 201),
    "resnet": (20, 32, 44, 56, 110),
    "vgg": (16, 19),
    "vit": (8, 12),
}
# What may stand in a name's place.
FORMS = {
    "datasets": "FILE.npz, FILE.py:function or a folder with one sub-folder of images "
    "per class",
    "models": "FILE.py:function, FILE.keras or applications.NAME",
}


def names(kind: str) -> list[str]:
    """The parts of one folder of keras16, by file name; private files left out.

    Args:
        kind: A folder, such as "models".
    """
    folder = pathlib.Path(__file__).parent / kind
    found = (module.name for module in pkgutil.iter_modules([str(folder)]))
    return sorted(name for name in found if not name.startswith("_"))


def choices(kind: str) -> list[str]:
    """The same as a user would write them: a model that takes a depth has its usual."""
    return [
        f"{name}{depth}" for name in names(kind) for depth in DEPTHS.get(name, ("",))
    ]


def load(kind: str, name: str) -> Any:
    """The contract function of a part: `build` of a model, `load` of a data set.

    A model's trailing number is its depth: "resnet20" gives the `build` of
    models/resnet.py with `depth=20` already applied.

    Raises:
        UserError: There is no such part; the text names the nearest ones.
    """
    known = names(kind)
    if name in known:
        return _contract(kind, name)
    stem, depth = split_depth(name)
    if depth is not None and stem in known:
        build = _contract(kind, stem)
        if "depth" not in inspect.signature(build).parameters:
            raise UserError(f"no {name!r}: {stem} has one depth, so leave out {depth}.")
        return lambda *args, **kwargs: build(*args, depth=depth, **kwargs)
    raise UserError(unknown(kind, name))


def split_depth(name: str) -> tuple[str, int | None]:
    """`resnet20` -> ("resnet", 20); `cnn` -> ("cnn", None)."""
    match = re.fullmatch(r"(.*?[A-Za-z_])(\d+)", name)
    return (match[1], int(match[2])) if match else (name, None)


def unknown(kind: str, name: str) -> str:
    """One line that names the parts there are, the likeliest first."""
    known = choices(kind)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? There" if near else "there"
    own = f"; or give {FORMS[kind]}" if kind in FORMS else ""
    return f"no {kind.removesuffix('s')} {name!r}: {hint} are {', '.join(known)}{own}."


def part(kind: str, name: str) -> ModuleType:
    """The module of a part, such as keras16.optimizers.adam.

    Raises:
        UserError: There is no such part.
    """
    if name not in names(kind):
        raise UserError(unknown(kind, name))
    return importlib.import_module(f"keras16.{kind}.{name}")


def _contract(kind: str, name: str) -> Any:
    return getattr(part(kind, name), CONTRACT[kind])
