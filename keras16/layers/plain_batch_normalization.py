"""Batch normalization in float16 with nothing added, for precision `16-plain`."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras16.numerics import reductions


@keras.saving.register_keras_serializable(package="keras16")
class PlainBatchNormalization(keras.layers.BatchNormalization):
    """The textbook's formulas in the layer's own dtype.

    Keras' own casts its inputs to float32. Here mean and variance are matrix
    products in 16 bits, since a 16-bit `reduce_mean` gives 0 or NaN over some
    hundred thousand elements; squares overflow from 256 on, the moving averages
    stall at a momentum of 0.99, and nothing is done about either.

    Args: as `keras.layers.BatchNormalization`.

    Source: Ioffe and Szegedy, arXiv 1502.03167, algorithm 1.
    """

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        del mask
        inputs = ops.cast(inputs, self.compute_dtype)
        mean, variance = self._moving()
        if training and self.trainable:
            mean, variance = self._moments(inputs)
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance)
        outputs = (inputs - self._wide(mean)) * self._wide(
            1 / ops.sqrt(variance + self.epsilon)
        )
        if self.scale:
            outputs = outputs * self._wide(ops.convert_to_tensor(self.gamma))
        if self.center:
            outputs = outputs + self._wide(ops.convert_to_tensor(self.beta))
        return outputs

    def _moving(self) -> tuple[Any, Any]:
        return (
            ops.convert_to_tensor(self.moving_mean),
            ops.convert_to_tensor(self.moving_variance),
        )

    def _moments(self, inputs: Any) -> tuple[Any, Any]:
        """Mean and variance of each channel."""
        rank = len(inputs.shape)
        axis = self.axis % rank
        order = [a for a in range(rank) if a != axis] + [axis]
        rows = ops.reshape(ops.transpose(inputs, order), (-1, inputs.shape[axis]))
        mean = reductions.row_mean(rows)
        centered = rows - mean
        return mean, reductions.row_mean(centered * centered)

    def _move(self, average: Any, value: Any) -> None:
        old = ops.convert_to_tensor(average)
        average.assign(old * self.momentum + value * (1 - self.momentum))

    def _wide(self, vector: Any) -> Any:
        """[channels] -> the shape that broadcasts to the inputs."""
        shape = [1] * self.input_spec.ndim
        shape[self.axis] = -1
        return ops.reshape(vector, shape)
