"""What a normalization asks of the columns of a 16-bit matrix, memory read few times.

Where keras16 has kernels of its own (`keras16.kernels`) each question is one of them;
elsewhere loops and products, of as many passes.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from keras16 import backend
from keras16.numerics import bits, extremes, reductions, wide


def means_and_extremes(rows: Any, mask: Any) -> tuple[Any, Any, Any]:
    """Of each column the mean, the largest and the smallest number.

    Args:
        rows: [n, channels] 16-bit, n at least 1.
        mask: [n, 1] boolean: the rows that the means are taken of; None for all.
            The extremes are of all rows.
    """
    own = _own(mask, rows)
    if own is not None:
        return own.means_and_extremes(rows)
    return reductions.row_mean(rows, mask), *extremes.of_columns(rows)


def line_and_means(
    rows: Any, slope: Any, offset: Any, mask: Any, together: int
) -> tuple[Any, Any, Any]:
    """Rows x slope + offset, rounded, and by column its mean and that of its squares.

    Args:
        rows: [n, channels] 16-bit.
        slope: [channels] of that dtype.
        offset: Likewise.
        mask: As of `means_and_extremes`. Rows that do not count are cut off at 2**14.
        together: So many rows are seen as one (see `numerics.wide`); divides n.
    """
    own = _own(mask, rows)
    if own is not None:
        return own.line_and_means(rows, slope, offset)
    if mask is None:
        given = _line_and_square, (rows,), (slope, offset), together
        line, squares = wide.by_column(*given)
    else:
        # What is masked may lie anywhere, and must not end as an infinity.
        line = ops.clip(rows * slope + offset, -(2**14), 2**14)
        squares = line * line
    return line, reductions.row_mean(line, mask), reductions.row_mean(squares, mask)


def sums_with(rows: Any, other: Any) -> tuple[Any, Any]:
    """Sums of the columns, and of the columns times those of another matrix."""
    own = _own(None, rows, other)
    if own is not None:
        return own.sums_with(rows, other)
    return reductions.row_sum(rows), reductions.row_sum(rows * other)


def _own(mask: Any, *tensors: Any) -> Any:
    """The backend's file of kernels; None where they take no part."""
    return None if mask is not None else backend.module().own_kernels(*tensors)


def _line_and_square(x: Any, slope: Any, offset: Any) -> tuple[Any, Any]:
    line = bits.rounded(x * slope + offset)
    return line, line * line
