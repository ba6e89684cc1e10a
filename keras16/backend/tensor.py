"""One tensor of a traced training step, as every backend tells it to the audit."""

from __future__ import annotations

import dataclasses
import re

Shape = tuple[int | None, ...] | None
"""One entry a dimension, None where it is unknown; None for an unknown rank."""


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One output of one operation, or one variable.

    Attributes:
        operation: The type of the operation ("Cast"), or "Variable".
        dtype: The name of the dtype, such as "float32", "bfloat16" or "int64".
        shape: The static shape.
        constant: Whether its value is written in the program.
        source: The layer, line or part of the framework that it comes from. Asked
            of wide tensors only: others may leave it empty.
    """

    operation: str
    dtype: str
    shape: Shape
    constant: bool = False
    source: str = ""

    @property
    def floating(self) -> bool:
        """Whether the elements are floating-point or complex numbers."""
        return self.dtype.startswith(("float", "bfloat", "complex"))

    @property
    def wide(self) -> bool:
        """Whether the elements are floating and wider than 16 bits."""
        return self.floating and _bits(self.dtype) > 16

    @property
    def counted(self) -> bool:
        """Whether the audit looks at it.

        Not at integers; nor at tensors without elements and scalar constants,
        which the compiler folds.
        """
        empty = self.shape is not None and 0 in self.shape
        return self.floating and not empty and not (self.constant and self.shape == ())


def _bits(dtype: str) -> int:
    digits = re.search(r"\d+", dtype)  # the 8 of "float8_e4m3fn" too
    return int(digits[0]) if digits else 64
