"""Batch normalization in 16 bits, statistics included."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras16 import backend
from keras16.errors import NoSixteenBits, UserError
from keras16.layers import _compiled
from keras16.numerics import averages, bits, extremes, norms, reductions, wide
from keras16.numerics.derivatives import by_hand, by_hand_once


@keras.saving.register_keras_serializable(package="keras16")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalization, computed and kept wholly in 16 bits.

    Keras' own casts its inputs to float32. Here each channel is brought to about
    1 by an exact power of two, so that squares neither overflow nor underflow for
    inputs from 1e-6 to 6e4; sums are matrix products (see
    `keras16.numerics.reductions`). The moving variance is kept as its root,
    `moving_deviation`, since the variance itself overflows at inputs of 256; both
    moving statistics have 15 more bits, kept as integers (`*_fraction`), without
    which a momentum of 0.99 stalls. At any other dtype this is Keras' own layer.

    Args: as `keras.layers.BatchNormalization`, but `renorm` and `synchronized`
        are refused in 16 bits.

    Source: Ioffe and Szegedy, arXiv 1502.03167; backward pass by hand.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self._is_16_bit and (self.renorm or self.synchronized):
            raise NoSixteenBits(
                "BatchNormalization has no 16-bit renorm or synchronized: leave "
                "them False"
            )

    @property
    def _is_16_bit(self) -> bool:
        return bits.is_16_bit(self.variable_dtype)

    def build(self, input_shape: Any) -> None:
        if not self._is_16_bit:
            super().build(input_shape)
            return
        shape = (input_shape[self.axis],)
        if self.scale:
            self.gamma = self._parameter("gamma", shape)
        if self.center:
            self.beta = self._parameter("beta", shape)
        self.moving_mean = self._statistic("moving_mean", shape)
        self.moving_deviation = self._statistic("moving_deviation", shape)
        self.moving_mean_fraction = self._fraction("moving_mean", shape)
        self.moving_deviation_fraction = self._fraction("moving_deviation", shape)
        rank = len(input_shape)
        self.input_spec = keras.layers.InputSpec(
            ndim=rank, axes={self.axis: input_shape[self.axis]}
        )

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        if not self._is_16_bit:
            return super().call(inputs, training=training, mask=mask)
        inputs = ops.cast(inputs, self.compute_dtype)
        rows, restore = _as_rows(inputs, self.axis)
        if not (training and self.trainable):
            return restore(self._by_moving(rows))
        together = _places_together(self, inputs)
        mask = _row_mask(mask, inputs, self.axis)
        outputs = self._by_batch(rows, mask, together)
        return _compiled.gradient(self, restore(outputs))

    def _by_batch(self, rows: Any, mask: Any, together: int) -> Any:
        """[n, channels] -> the same, normalized by the statistics of its rows."""
        outputs, mean, beyond, deviation = normalize_batch(
            rows, self._gamma(rows), self._beta(rows), self.epsilon, mask, together
        )
        self._move(mean, beyond, deviation)
        return outputs

    def _by_moving(self, rows: Any) -> Any:
        """[n, channels] -> the same, normalized by the moving statistics."""
        mean = ops.convert_to_tensor(self.moving_mean)
        deviation = ops.convert_to_tensor(self.moving_deviation)
        floor = ops.cast(math.sqrt(self.epsilon), rows.dtype)
        spread = norms.hypot(deviation, ops.broadcast_to(floor, ops.shape(deviation)))
        scale = bits.scale_to_one(spread)
        slope = self._gamma(rows) / (spread * scale)
        # What the rounded mean leaves out is small beside the mean, but need not
        # be beside the deviation.
        fraction = ops.convert_to_tensor(self.moving_mean_fraction)
        residual = averages.scaled_residual(mean, fraction, scale)
        offset = self._beta(rows) - residual * slope
        # Never scaled up before the subtraction: a large mean may have a small spread.
        down = ops.minimum(scale, ops.ones_like(scale))
        return (rows * down - mean * down) * (scale / down * slope) + offset

    def _move(self, mean: Any, beyond: Any, deviation: Any) -> None:
        """Moves both statistics at once, as half as many operations.

        Args:
            mean: [channels] of this batch.
            beyond: [channels], what rounding left out of it.
            deviation: [channels].
        """
        kept = self.moving_mean, self.moving_deviation
        fractions = self.moving_mean_fraction, self.moving_deviation_fraction
        own = backend.module().own_kernels(mean)
        if own is not None:
            pairs = zip(map(bits.read, kept), map(bits.read, fractions), strict=True)
            towards = mean, beyond, deviation
            moved = own.moved_statistics(*pairs, towards, 1 - self.momentum)
            for index, (value, rest) in enumerate(moved):
                kept[index].assign(value)
                fractions[index].assign(rest)
            return
        values, rests = ops.stack([mean, deviation]), _joined(fractions)
        if self.momentum:
            left = ops.stack([beyond, ops.zeros_like(beyond)])
            increment = averages.both_towards(1 - self.momentum)
            values, rests = averages.move(_joined(kept), rests, values, increment, left)
        else:  # a step from 1 to 0.05 would keep the rounding of 1
            rests = ops.zeros_like(rests)
        for index in range(2):
            kept[index].assign(values[index])
            fractions[index].assign(rests[index])

    def _parameter(self, name: str, shape: tuple[int]) -> Any:
        return self.add_weight(
            shape=shape,
            name=name,
            initializer=getattr(self, f"{name}_initializer"),
            regularizer=getattr(self, f"{name}_regularizer"),
            constraint=getattr(self, f"{name}_constraint"),
            trainable=True,
            autocast=False,
        )

    def _statistic(self, name: str, shape: tuple[int]) -> Any:
        return self.add_weight(
            shape=shape,
            name=name,
            initializer=self._initial_deviation
            if name == "moving_deviation"
            else self.moving_mean_initializer,
            trainable=False,
            autocast=False,
        )

    def _fraction(self, name: str, shape: tuple[int]) -> Any:
        return self.add_weight(
            shape=shape,
            name=f"{name}_fraction",
            initializer="zeros",
            dtype="int16",
            trainable=False,
            autocast=False,
        )

    def _initial_deviation(self, shape: Any, dtype: Any = None) -> Any:
        return ops.sqrt(self.moving_variance_initializer(shape, dtype=dtype))

    def _gamma(self, rows: Any) -> Any:
        if self.gamma is None:
            return ops.ones((rows.shape[1],), dtype=rows.dtype)
        return bits.read(self.gamma)

    def _beta(self, rows: Any) -> Any:
        if self.beta is None:
            return ops.zeros((rows.shape[1],), dtype=rows.dtype)
        return bits.read(self.beta)


def _joined(variables: Any) -> Any:
    """Variables of one shape -> a tensor [of them, *shape]."""
    return ops.stack([bits.read(each) for each in variables])


def normalize_batch(
    rows: Any,
    gamma: Any,
    beta: Any,
    epsilon: float,
    mask: Any = None,
    together: int = 1,
) -> Any:
    """Normalizes the columns of a 16-bit matrix by their own mean and variance.

    Args:
        rows: [n, channels] 16-bit.
        gamma: [channels] of the same dtype.
        beta: Likewise.
        epsilon: Added to the variance.
        mask: [n, 1] boolean: the rows that the statistics are taken of; all of them
            are normalized. None for all.
        together: So many rows are seen as one (see `numerics.wide`); divides n.

    Returns:
        (outputs [n, channels], mean, what rounding left out of it, standard
        deviation), the last three [channels] and without a gradient.
    """
    own = None if mask is not None else backend.module().own_kernels(rows, gamma, beta)
    if own is not None:
        return _by_kernel(own, rows, gamma, beta, epsilon)

    @by_hand_once("batch normalization")
    def normalize(rows, gamma, beta):
        side_by_side = 1 if mask is not None else together
        fit = _Statistics(rows, gamma, beta, epsilon, mask, side_by_side)

        def backward(gradient):
            return fit.gradients(gamma, gradient)

        statistics = (fit.mean, fit.mean_residual, fit.deviation)
        return (fit.outputs, *statistics), backward

    return normalize(rows, gamma, beta)


def _by_kernel(own: Any, rows: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    """The same by the backend's kernels, whose results are those of wide numbers."""

    @by_hand  # the kernel of the gradients refuses by itself to have any
    def normalize(rows, gamma, beta):
        outputs, found = own.batch_normalized(rows, gamma, beta, epsilon)

        def backward(gradient):
            return own.batch_normalized_gradients(rows, gradient, gamma, found)

        return (outputs, found.mean, found.beyond, found.deviation), backward

    return normalize(rows, gamma, beta)


class _Statistics:
    """The statistics of the columns of a matrix, and what is computed from them.

    A column x is seen as d = x p - mean p with a power of two p that brings the
    largest abs(x - mean) to about 1: both products are exact, and no square of a d
    overflows or vanishes. The mean of d, which is what rounding left of the mean,
    is taken out of it.
    """

    def __init__(
        self,
        rows: Any,
        gamma: Any,
        beta: Any,
        epsilon: float,
        mask: Any,
        together: int,
    ) -> None:
        self.mask, self.together, self.count = mask, together, _count(rows, mask)
        mean = reductions.row_mean(rows, mask)
        highest, lowest = extremes.of_columns(rows)
        if mask is not None:
            mean = backend.one_pass(_mean_within)(mean, highest, lowest)
            inside = ops.where(mask, rows, mean)
            highest, lowest = extremes.of_columns(inside)
        self.mean, self.power, offset = backend.one_pass(_to_one, epsilon)(
            mean, highest, lowest
        )
        self.centered, squares = self._centered_and_squares(rows, offset)
        self.center = reductions.row_mean(self.centered, mask)
        square = reductions.row_mean(squares, mask)
        self.inverse, self.deviation, self.mean_residual, *line = backend.one_pass(
            _spread, epsilon
        )(self.center, square, self.power, gamma, beta)
        # (rows - mean) / spread x gamma + beta
        self.outputs = self._by_column(_line, (self.centered,), *line)

    def gradients(self, gamma: Any, gradient: Any) -> tuple[Any, Any, Any]:
        """The gradients of rows, gamma and beta."""
        of_beta = reductions.row_sum(gradient)
        along = reductions.row_sum(gradient * self.centered)
        of_gamma, slope, offset, steepness = backend.one_pass(_slopes)(
            of_beta, along, gamma, self.center, self.inverse, self.power, self.count
        )
        if self.mask is not None:
            line = _line(self.centered, slope, offset)
            line = ops.where(self.mask, line, ops.zeros_like(line))
            return (gradient - line) * steepness, of_gamma, of_beta
        given = gradient, self.centered
        of_rows = self._by_column(_beside_line, given, slope, offset, steepness)
        return of_rows, of_gamma, of_beta

    def _centered_and_squares(self, rows: Any, offset: Any) -> tuple[Any, Any]:
        if self.mask is None:
            return self._by_column(_line_and_square, (rows,), self.power, offset)
        # What is masked may lie anywhere, and must not end as an infinity.
        line = ops.clip(_line(rows, self.power, offset), -(2**14), 2**14)
        return line, line * line

    def _by_column(self, rule: Any, rows: Any, *vectors: Any) -> Any:
        return wide.by_column(rule, rows, vectors, self.together)


# Of vectors by channel: a loop of their own, since there are dozens of operations.


def _mean_within(mean: Any, highest: Any, lowest: Any) -> Any:
    # Rounding may leave the mean outside; inside, a constant has variance 0.
    # Rounded for certain: the sums and the outputs must see the same mean.
    return ops.clip(bits.rounded(mean), lowest, highest)


def _to_one(
    epsilon: float, mean: Any, highest: Any, lowest: Any
) -> tuple[Any, Any, Any]:
    mean = _mean_within(mean, highest, lowest)
    power = _power(highest, lowest, mean, epsilon)
    return mean, power, -mean * power


def _spread(
    epsilon: float, center: Any, square: Any, power: Any, gamma: Any, beta: Any
) -> tuple[Any, ...]:
    root = ops.sqrt(ops.maximum(square - center * center, 0))
    floor = ops.cast(math.sqrt(epsilon), root.dtype) * power
    spread = norms.hypot(root, floor)
    inverse = 1 / ops.where(spread == 0, ops.ones_like(spread), spread)
    slope = bits.rounded(gamma * inverse)
    return inverse, root / power, center / power, slope, beta - center * slope


def _slopes(
    of_beta: Any,
    along: Any,
    gamma: Any,
    center: Any,
    inverse: Any,
    power: Any,
    count: Any,
) -> tuple[Any, Any, Any, Any]:
    of_gamma = (along - center * of_beta) * inverse
    slope = reductions.over_count(of_gamma, count) * inverse
    offset = reductions.over_count(of_beta, count) - center * slope
    return of_gamma, slope, offset, gamma * (inverse * power)


def _line(x: Any, slope: Any, offset: Any) -> Any:
    return x * slope + offset


def _line_and_square(x: Any, slope: Any, offset: Any) -> tuple[Any, Any]:
    line = bits.rounded(_line(x, slope, offset))
    return line, line * line


def _beside_line(y: Any, x: Any, slope: Any, offset: Any, steepness: Any) -> Any:
    return (y - _line(x, slope, offset)) * steepness


def _count(rows: Any, mask: Any) -> Any:
    return ops.shape(rows)[0] if mask is None else reductions.count_of(mask)


def _power(highest: Any, lowest: Any, mean: Any, epsilon: float) -> Any:
    """The power of two that brings the largest deviation of a column into [1, 2).

    Smaller where power x sqrt(epsilon) would overflow; 1 for a constant column.
    """
    # Halves: the deviation itself may be beyond the format.
    half = 0.5
    reach = ops.maximum(highest * half - mean * half, mean * half - lowest * half)
    form = bits.format_of(mean)
    exponent = form.bias - 1 - bits.biased_exponent(reach)
    exponent = ops.where(reach > 0, exponent, ops.zeros_like(exponent))
    headroom = form.bias - max(0, math.ceil(math.log2(max(epsilon, 1e-30)) / 2))
    return bits.power_of_two(ops.minimum(exponent, headroom), bits.name_of(mean))


def _places_together(layer: Any, x: Any) -> int:
    """How many rows are seen as one; XLA wants none where it compiles the step."""
    last = layer.axis % len(x.shape) == len(x.shape) - 1
    return wide.places(x.shape) if last and not _compiled.is_compiled(layer) else 1


def _row_mask(mask: Any, inputs: Any, axis: int) -> Any:
    """A mask of all axes but the last, the channels', -> [n, 1]; None stays None."""
    if mask is None:
        return None
    rank = len(inputs.shape)
    if len(mask.shape) != rank - 1 or axis % rank != rank - 1:
        raise UserError(
            "BatchNormalization in 16 bits wants a mask with one dimension less than "
            "its inputs, and channels last: set axis=-1."
        )
    return ops.reshape(ops.cast(mask, "bool"), (-1, 1))


def _as_rows(x: Any, axis: int) -> tuple[Any, Any]:
    """[..., channels, ...] -> [n, channels], and the way back."""
    rank = len(x.shape)
    axis = axis % rank
    order = [a for a in range(rank) if a != axis] + [axis]
    moved = x if axis == rank - 1 else ops.transpose(x, order)
    shape = ops.shape(moved)
    back = [order.index(a) for a in range(rank)]

    def restore(rows: Any) -> Any:
        result = ops.reshape(rows, shape)
        return result if axis == rank - 1 else ops.transpose(result, back)

    return ops.reshape(moved, (-1, x.shape[axis])), restore
