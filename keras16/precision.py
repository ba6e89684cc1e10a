"""One table of precisions and the one global switch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from keras16.errors import PrecisionError, UserError


@dataclasses.dataclass(frozen=True)
class Precision:
    """How a run stores and computes.

    Attributes:
        name: The value on the command line.
        policy: Keras' dtype policy of the layers, hence of gradients and slots.
        floatx: Keras' default float: losses, metrics, the learning rate.
        pure: Whether the training step is meant to hold no float above 16 bits.
        meaning: One line for the help page.
        parts: Which layers and optimizers it is made of (see `keras16.parts`).
    """

    name: str
    policy: str
    floatx: str
    pure: bool
    meaning: str
    parts: str = "keras16"

    @property
    def variable_dtype(self) -> str:
        """The dtype of every floating variable of a model."""
        return "float32" if self.policy.startswith("mixed_") else self.policy


TABLE = {
    row.name: row
    for row in (
        Precision(
            "16",
            "float16",
            "float16",
            True,
            "pure IEEE float16: no master weights, no loss scaling",
        ),
        Precision(
            "16-plain",
            "float16",
            "float16",
            True,
            "pure float16 with nothing added: textbook optimizers and batch norm",
            parts="plain",
        ),
        Precision("32", "float32", "float32", False, "true float32 (TF32 off)"),
        Precision(
            "mixed",
            "mixed_float16",
            "float32",
            False,
            "Keras' mixed_float16 with dynamic loss scaling",
        ),
        Precision("bf16", "bfloat16", "bfloat16", True, "pure bfloat16"),
        Precision(
            "mixed_bf16", "mixed_bfloat16", "float32", False, "Keras' mixed_bfloat16"
        ),
    )
}

# What a user has to choose from, before anything is known of the machine.
COMPARED = ("16", "32", "mixed")
ALIASES = {
    "float16": "16",
    "fp16": "16",
    "half": "16",
    "float32": "32",
    "fp32": "32",
    "mixed_float16": "mixed",
    "bfloat16": "bf16",
    "mixed_bfloat16": "mixed_bf16",
}

_in_use: Precision | None = None


def canonical(name: str | int) -> str:
    """The table's name for a precision or one of its aliases.

    Raises:
        UserError: There is no such precision.
    """
    key = str(name).lower()
    key = ALIASES.get(key, key)
    if key not in TABLE:
        raise UserError(f"no precision {name!r}: there are {', '.join(TABLE)}.")
    return key


def get(name: str | int) -> Precision:
    """The row of the table for a name or an alias."""
    return TABLE[canonical(name)]


def in_use() -> Precision | None:
    """The precision that this process was switched to; None before `use`."""
    return _in_use


def use(name: str | int) -> Precision:
    """Switches this process to a precision, before any layer is built.

    Sets Keras' `floatx` and dtype policy together, turns TF32 off, draws
    initial weights in float32 (then casts, so that a seed means the same weights
    at every precision), and gives Keras' own `Mean`, which the loss tracker and
    all accuracies are built on, exact sums wherever it is 16 bits wide.

    Args:
        name: A precision of `TABLE` or an alias, such as "16" or "float16".

    Returns:
        The row of the table that is now in use.

    Raises:
        UserError: There is no such precision.
        PrecisionError: This process already uses another one. Layers keep the
            dtype that they were built with, so two would be mixed up.
    """
    global _in_use
    row = get(name)
    if _in_use not in (None, row):
        raise PrecisionError(
            f"this process already uses precision {_in_use.name!r} and can't switch "
            f"to {row.name!r}: start a new process for it."
        )
    import keras

    from keras16 import backend, hardware
    from keras16.backend import hooks
    from keras16.metrics import mean

    keras.config.set_floatx(row.floatx)
    keras.config.set_dtype_policy(row.policy)
    backend.fill_registers(hardware.cpu_flags())
    backend.configure()
    if not hooks.installed():
        mean.install()
        hooks.replace_initialization(_draw_in_float32)
    _in_use = row
    return row


def _draw_in_float32(original: Any, variable: Any, initializer: Any) -> None:
    """Draws a 16-bit variable in float32 and casts.

    Initializers draw in the variable's dtype, and a seed gives unrelated numbers
    in float16 and float32.
    """
    from keras import ops

    dtype = str(variable.dtype)
    if dtype not in ("float16", "bfloat16"):
        original(variable, initializer)
        return

    def draw(shape, dtype):
        return ops.cast(initializer(shape, dtype="float32"), dtype)

    original(variable, draw)


def assert_dtypes(model: Any, row: Precision, besides: Sequence[Any] = ()) -> None:
    """Asserts the dtype of every variable of a model.

    Args:
        model: A built Keras model; its optimizer's slots too, once it has them.
        row: The precision that the variables must have.
        besides: Variables that may have any.

    Raises:
        PrecisionError: A floating variable has another dtype; the text names it.
    """
    exempt = {id(variable) for variable in besides}
    for variable in model.variables:
        dtype = str(variable.dtype)
        if (
            id(variable) not in exempt
            and "float" in dtype
            and dtype != row.variable_dtype
        ):
            raise PrecisionError(
                f"variable {variable.path} is {dtype}, but precision {row.name!r} "
                f"stores {row.variable_dtype}: build the model after "
                f"keras16.use({row.name!r}), without a dtype of its own."
            )
