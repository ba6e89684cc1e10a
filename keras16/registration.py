"""Lets Keras load models that hold keras16's classes after a bare `import keras16`.

Keras 3 looks a class up by its registered name ("keras16>BatchNormalization") and
never imports the module that the saved config names beside it. Our classes register
when their files are imported, and `import keras16` imports none of them, for the
sake of a quick start. So Keras' look-up is extended by one more place to look: at
the first unknown name of ours it imports our parts and asks again. Importing them
as soon as Keras is there instead would run into half-imported files, since it is
mostly one of them that imports Keras.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import types
from collections.abc import Sequence
from importlib.machinery import ModuleSpec

from keras16 import catalog

# A private module of Keras, named here and not imported: it has no public hook.
KERAS_REGISTRY = "keras.src.saving.object_registration"
PREFIX = "keras16"  # and what may follow: "keras16.metrics>Mean"
FOLDERS = (
    "constraints",
    "convert",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
    "schedules",
)


def install() -> None:
    """Extends Keras' look-up now, or as soon as Keras is imported."""
    loaded = sys.modules.get(KERAS_REGISTRY)
    if loaded is not None:
        extend(loaded)
    elif not any(isinstance(finder, _WhenKerasLoads) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WhenKerasLoads())


def register() -> None:
    """Imports every part that may stand in a saved model."""
    for folder in FOLDERS:
        for name in catalog.names(folder):
            importlib.import_module(f"keras16.{folder}.{name}")


def extend(registry: types.ModuleType) -> None:
    """Gives a Keras registry a second look, after `register()`, at names of ours.

    Args:
        registry: Keras' module of registered objects.
    """
    find = registry.get_registered_object
    if getattr(find, "finds_keras16", False):
        return

    @functools.wraps(find)
    def find_keras16(name, *args, **kwargs):
        found = find(name, *args, **kwargs)
        if found is not None or not str(name).startswith(PREFIX):
            return found
        register()
        return find(name, *args, **kwargs)

    find_keras16.finds_keras16 = True  # type: ignore[attr-defined]
    registry.get_registered_object = find_keras16  # type: ignore[attr-defined]


class _WhenKerasLoads:
    """Stands first on `sys.meta_path` until Keras' registry is imported, once."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> ModuleSpec | None:
        """The ordinary spec of Keras' registry, its loader followed by `extend`."""
        if name != KERAS_REGISTRY:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            _then_extend(spec.loader)
        return spec


def _then_extend(loader: object) -> None:
    execute = loader.exec_module  # type: ignore[attr-defined]

    def execute_and_extend(module: types.ModuleType) -> None:
        execute(module)
        extend(module)

    loader.exec_module = execute_and_extend  # type: ignore[attr-defined]
