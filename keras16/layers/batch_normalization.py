"""Batch normalization in 16 bits, statistics included."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras16.errors import UserError
from keras16.layers import _compiled
from keras16.numerics import averages, bits, norms, reductions


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
            raise UserError(
                "BatchNormalization has no 16-bit renorm or synchronized: leave "
                "them False, or give the layer dtype='float32'."
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
        outputs = self._by_batch(rows, _row_mask(mask, inputs, self.axis))
        return _compiled.gradient(self, restore(outputs))

    def _by_batch(self, rows: Any, mask: Any) -> Any:
        """[n, channels] -> the same, normalized by the statistics of its rows."""
        outputs, mean, beyond, deviation = normalize_batch(
            rows, self._gamma(rows), self._beta(rows), self.epsilon, mask
        )
        share = 1 - self.momentum
        self._move("moving_mean", mean, averages.towards(share), beyond)
        self._move("moving_deviation", deviation, averages.root_towards(share))
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

    def _move(
        self, statistic: str, target: Any, increment: Any, beyond: Any = 0
    ) -> None:
        average = getattr(self, statistic)
        fraction = getattr(self, f"{statistic}_fraction")
        if not self.momentum:  # a step from 1 to 0.05 would keep the rounding of 1
            average.assign(target)
            fraction.assign(ops.zeros_like(ops.convert_to_tensor(fraction)))
            return
        moved = averages.move(
            bits.read(average), bits.read(fraction), target, increment, beyond
        )
        average.assign(moved[0])
        fraction.assign(moved[1])

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


def normalize_batch(
    rows: Any, gamma: Any, beta: Any, epsilon: float, mask: Any = None
) -> Any:
    """Normalizes the columns of a 16-bit matrix by their own mean and variance.

    Args:
        rows: [n, channels] 16-bit.
        gamma: [channels] of the same dtype.
        beta: Likewise.
        epsilon: Added to the variance.
        mask: [n, 1] boolean: the rows that the statistics are taken of; all of them
            are normalized. None for all.

    Returns:
        (outputs [n, channels], mean, what rounding left out of it, standard
        deviation), the last three [channels] and without a gradient.
    """

    @ops.custom_gradient
    def normalize(rows, gamma, beta):
        fit = _Statistics(rows, epsilon, mask)
        outputs = fit.normalized(rows, gamma * fit.inverse) + beta

        def backward(*upstream):
            # One argument for each output, or one that holds them all (JAX).
            return fit.gradients(rows, gamma, keras.tree.flatten(upstream)[0])

        statistics = (fit.mean, fit.mean_residual, fit.deviation)
        return (outputs, *statistics), backward

    return normalize(rows, gamma, beta)


class _Statistics:
    """The statistics of the columns of a matrix, and what is computed from them.

    A column x is seen as d = (x p - mean p) s with powers of two p and s: x p is
    about 1 at most, and so is d. Both are exact, and no square of a d overflows
    or vanishes. The mean of d, which is what rounding left of the mean, is taken
    out of it.
    """

    def __init__(self, rows: Any, epsilon: float, mask: Any = None) -> None:
        self.mask = mask
        highest, lowest = ops.max(rows, axis=0), ops.min(rows, axis=0)
        self.scale = bits.scale_to_one(ops.maximum(ops.abs(highest), ops.abs(lowest)))
        # Rounding may leave the mean outside; inside, a constant has variance 0.
        # Rounded for certain: the sums and the outputs must see the same mean.
        mean = bits.rounded(reductions.row_mean(rows, mask))
        self.mean = ops.clip(mean, lowest, highest)
        self.scaled_mean = self.mean * self.scale
        if mask is not None:
            inside = ops.where(mask, rows, self.mean)
            highest, lowest = ops.max(inside, axis=0), ops.min(inside, axis=0)
        reach = ops.maximum(
            highest * self.scale - self.scaled_mean,
            self.scaled_mean - lowest * self.scale,
        )
        self.zoom = _capped(bits.scale_to_one(reach), self.scale, epsilon)
        # Together first: either one alone may make what it scales subnormal.
        both = self.scale * self.zoom
        centered = self._centered(rows)
        self.center = reductions.row_mean(centered, mask)
        square = reductions.row_mean(centered * centered, mask)
        variance = ops.maximum(square - self.center * self.center, 0)
        root = ops.sqrt(variance)
        floor = ops.cast(math.sqrt(epsilon), rows.dtype) * both
        spread = norms.hypot(root, floor)
        self.inverse = 1 / ops.where(spread == 0, ops.ones_like(spread), spread)
        self.steepness = self.inverse * both
        self.deviation = root / both
        self.mean_residual = self.center / both

    def normalized(self, rows: Any, slope: Any) -> Any:
        """(rows - mean) / spread, times slope / inverse."""
        return (self._centered(rows) - self.center) * slope

    def gradients(self, rows: Any, gamma: Any, gradient: Any) -> tuple[Any, Any, Any]:
        """The gradients of rows, gamma and beta."""
        unit = self.normalized(rows, self.inverse)
        of_beta = reductions.row_sum(gradient)
        of_gamma = reductions.row_sum(gradient * unit)
        mask = self.mask
        n = ops.shape(rows)[0] if mask is None else reductions.count_of(mask)
        mean = reductions.over_count(of_beta, n)
        slope = reductions.over_count(of_gamma, n)
        through_statistics = mean + unit * slope
        if mask is not None:
            zero = ops.zeros_like(through_statistics)
            through_statistics = ops.where(mask, through_statistics, zero)
        of_rows = (gradient - through_statistics) * (gamma * self.steepness)
        return of_rows, of_gamma, of_beta

    def _centered(self, rows: Any) -> Any:
        centered = (rows * self.scale - self.scaled_mean) * self.zoom
        # What is masked may lie anywhere, and must not end as an infinity.
        return centered if self.mask is None else ops.clip(centered, -(2**14), 2**14)


def _capped(zoom: Any, scale: Any, epsilon: float) -> Any:
    """Zoom so small that scale x zoom x sqrt(epsilon) stays finite."""
    form = bits.format_of(zoom)
    headroom = form.bias - max(0, math.ceil(math.log2(max(epsilon, 1e-30)) / 2))
    room = headroom - (bits.biased_exponent(scale) - form.bias)
    return ops.minimum(zoom, bits.power_of_two(room, bits.name_of(zoom)))


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
