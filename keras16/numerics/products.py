"""Products of matrices that are added up wider than 16 bits and rounded once.

TensorFlow's own of many small matrices take two to three times as long in float16 as in
float32, on a CPU without float16 arithmetic.
"""

from __future__ import annotations

import math
import string
from typing import Any

from keras import ops

from keras16 import backend


def matmul(x: Any, y: Any) -> Any:
    """Keras' `matmul` of tensors of two axes and more.

    Args:
        x: [..., rows, inputs].
        y: [..., inputs, outputs], of the same dtype. Axes before these that neither
            tensor knows the length of must have the same one.

    Returns:
        [..., rows, outputs].
    """
    own = backend.module().own_kernels(x, y)
    if own is None:
        return ops.matmul(x, y)
    if len(y.shape) == 2:
        return own.product(x, y)
    *of_x, rows, inputs = _lengths(x)
    *of_y, _, outputs = _lengths(y)
    if _is_open(of_x, of_y):
        return ops.matmul(x, y)
    if not _are_alike(of_x, of_y):
        return _broadcast_matmul(x, y)
    count = math.prod(of_x)
    found = own.products(
        ops.reshape(x, (count, rows, inputs)), ops.reshape(y, (count, inputs, outputs))
    )
    return ops.reshape(found, (*of_x, rows, outputs))


def einsum(equation: str, x: Any, y: Any) -> Any:
    """Keras' `einsum` of two tensors.

    Args:
        equation: With its "->"; no letter stands twice in one of its three terms.
            Axes of one letter have the same length.
        x: The first tensor.
        y: The second, of the same dtype.
    """
    if backend.module().own_kernels(x, y) is None:
        return ops.einsum(equation, x, y)
    of_x, of_y, of_result = _terms(equation, len(x.shape), len(y.shape))
    lengths = dict(zip(of_x + of_y, _lengths(x) + _lengths(y), strict=True))
    if (set(of_x) ^ set(of_y)) - set(of_result):
        return ops.einsum(equation, x, y)
    summed = [a for a in of_x if a in of_y and a not in of_result]
    shared = [a for a in of_x if a in of_y and a in of_result]
    rows = [a for a in of_x if a not in of_y]
    columns = [a for a in of_y if a not in of_x]

    def arranged(tensor: Any, of: str, *groups: list[str]) -> Any:
        moved = ops.transpose(tensor, [of.index(a) for group in groups for a in group])
        sizes = [math.prod(lengths[a] for a in group) for group in groups]
        return ops.reshape(moved, sizes if shared else sizes[1:])

    found = matmul(
        arranged(x, of_x, shared, rows, summed),
        arranged(y, of_y, shared, summed, columns),
    )
    order = [*shared, *rows, *columns]
    found = ops.reshape(found, [lengths[a] for a in order])
    return ops.transpose(found, [order.index(a) for a in of_result])


def _terms(equation: str, rank_of_x: int, rank_of_y: int) -> tuple[str, str, str]:
    """An equation's three terms, an ellipsis in letters."""
    given, result = equation.replace(" ", "").split("->")
    of_x, of_y = given.split(",")
    spare = [a for a in string.ascii_letters if a not in equation]
    length = max(
        rank - len(term) + 3 if "..." in term else 0
        for term, rank in ((of_x, rank_of_x), (of_y, rank_of_y))
    )
    letters = "".join(spare[:length])

    def spelled(term: str, rank: int) -> str:
        own = rank - len(term.replace("...", ""))
        return term.replace("...", letters[length - own :] if own else "")

    of_x, of_y = spelled(of_x, rank_of_x), spelled(of_y, rank_of_y)
    return of_x, of_y, result.replace("...", letters)


def _is_open(of_x: list[Any], of_y: list[Any]) -> bool:
    """Whether only the run knows if an axis is broadcast: one has a length, one not."""
    pairs = zip(reversed(of_x), reversed(of_y), strict=False)
    return any(isinstance(a, int) != isinstance(b, int) for a, b in pairs)


def _are_alike(of_x: list[Any], of_y: list[Any]) -> bool:
    """Whether no axis is broadcast."""
    if len(of_x) != len(of_y):
        return False
    return all(
        (isinstance(a, int) and a == 1) == (isinstance(b, int) and b == 1)
        for a, b in zip(of_x, of_y, strict=True)
    )


def _broadcast_matmul(x: Any, y: Any) -> Any:
    """The same of tensors one of which is repeated: as fewer, larger products."""
    rank = max(len(x.shape), len(y.shape))
    leading = string.ascii_lowercase[: rank - 2]
    x, of_x = _without_ones(x, leading[rank - len(x.shape) :] + "YX")
    y, of_y = _without_ones(y, leading[rank - len(y.shape) :] + "XZ")
    lengths = dict(zip(of_x + of_y, _lengths(x) + _lengths(y), strict=True))
    result = "".join(a for a in leading + "YZ" if a in lengths)
    found = einsum(f"{of_x},{of_y}->{result}", x, y)
    return ops.reshape(found, [lengths.get(a, 1) for a in leading + "YZ"])


def _without_ones(x: Any, letters: str) -> tuple[Any, str]:
    """A tensor without those axes before its last two that have length 1."""
    ones = [i for i, length in enumerate(x.shape[:-2]) if length == 1]
    kept = "".join(a for i, a in enumerate(letters) if i not in ones)
    return (ops.squeeze(x, ones) if ones else x), kept


def _lengths(x: Any) -> list[Any]:
    """Numbers where they are known, tensors where not."""
    return list(ops.shape(x))
