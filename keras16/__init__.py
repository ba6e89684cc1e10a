"""Trains Keras models in pure float16, and proves it.

The names below are loaded when they are first used, so `import keras16` imports
neither Keras nor TensorFlow. It is enough, all the same, for
`keras.models.load_model` to find the classes of this package (see `registration`).
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

from keras16 import registration

if TYPE_CHECKING:
    from keras16 import (
        callbacks,
        constraints,
        initializers,
        layers,
        losses,
        metrics,
        optimizers,
        regularizers,
    )
    from keras16.audit import audit
    from keras16.bounds import error_bound
    from keras16.comparison import compare
    from keras16.convert import convert
    from keras16.precision import use
    from keras16.study import Run
    from keras16.training import fit

__version__ = "0.1.0"

# Where each public name lives. A module that is itself the name stands alone.
PUBLIC = {
    "Run": "keras16.study",
    "audit": "keras16.audit",
    "callbacks": "keras16.callbacks",
    "compare": "keras16.comparison",
    "constraints": "keras16.constraints",
    "convert": "keras16.convert",
    "error_bound": "keras16.bounds",
    "fit": "keras16.training",
    "initializers": "keras16.initializers",
    "layers": "keras16.layers",
    "losses": "keras16.losses",
    "metrics": "keras16.metrics",
    "optimizers": "keras16.optimizers",
    "regularizers": "keras16.regularizers",
    "use": "keras16.precision",
}

__all__ = [
    "Run",
    "__version__",
    "audit",
    "callbacks",
    "compare",
    "constraints",
    "convert",
    "error_bound",
    "fit",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "optimizers",
    "regularizers",
    "use",
]


class _Package(types.ModuleType):
    """Keeps `keras16.audit` the function, though there is a file of that name.

    Importing a submodule binds it as an attribute of its package, whoever imports
    it; here a submodule that holds a public name of its own is bound as that.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, types.ModuleType) and name in PUBLIC:
            value = getattr(value, name, value)
        super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'keras16' has no attribute {name!r}")
    module = importlib.import_module(PUBLIC[name])
    value = getattr(module, name, module)
    setattr(sys.modules[__name__], name, value)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})


sys.modules[__name__].__class__ = _Package
registration.install()
