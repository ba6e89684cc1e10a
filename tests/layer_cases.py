"""One sensible use of every public Keras layer: what the audit is asked about.

Data alone. `CASES` maps the name in keras.layers to a call that builds the layer
from a namespace (keras.layers or our twin of it) and the shapes of its inputs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras

L = keras.layers
IMAGE = (8, 8, 4)
SEQUENCE = (6, 4)
VOLUME = (4, 4, 4, 2)


@dataclasses.dataclass(frozen=True)
class Case:
    """How to build a layer and what to feed it.

    Attributes:
        build: Called with (the class, dtype); returns the layer.
        shapes: Of the inputs, without the batch.
        integers: The inputs are whole numbers below this, not floats; 0 for floats.
        together: Several inputs are one list (as of Add), not several arguments.
    """

    build: Callable[[type, str], Any]
    shapes: tuple[tuple[int, ...], ...]
    integers: int = 0
    together: bool = False


def case(*shapes, integers=0, together=False, **arguments):
    def build(cls, dtype):
        return cls(**arguments, dtype=dtype)

    return Case(build, shapes or (IMAGE,), integers, together)


def wrapping(shape, inner, **arguments):
    def build(cls, dtype):
        return cls(inner(dtype), **arguments, dtype=dtype)

    return Case(build, (shape,))


def conv(shape, **more):
    return case(shape, filters=3, kernel_size=2, **more)


def cells(cls, dtype):
    return cls([L.GRUCell(3, dtype=dtype), L.LSTMCell(3, dtype=dtype)], dtype=dtype)


CASES = {
    "Activation": case((5,), activation="softmax"),
    "ActivityRegularization": case((5,), l1=0.1, l2=0.1),
    "AdaptiveAveragePooling1D": case(SEQUENCE, output_size=2),
    "AdaptiveAveragePooling2D": case(IMAGE, output_size=3),
    "AdaptiveAveragePooling3D": case(VOLUME, output_size=2),
    "AdaptiveMaxPooling1D": case(SEQUENCE, output_size=2),
    "AdaptiveMaxPooling2D": case(IMAGE, output_size=3),
    "AdaptiveMaxPooling3D": case(VOLUME, output_size=2),
    "Add": case((5,), (5,), together=True),
    "AdditiveAttention": case(SEQUENCE, SEQUENCE, together=True, dropout=0.1),
    "AlphaDropout": case((5,), rate=0.3),
    "Attention": case(SEQUENCE, SEQUENCE, together=True, use_scale=True, dropout=0.1),
    "Average": case((5,), (5,), (5,), together=True),
    "AveragePooling1D": case(SEQUENCE, pool_size=2),
    "AveragePooling2D": case(IMAGE, pool_size=3, padding="same"),
    "AveragePooling3D": case(VOLUME, pool_size=2),
    "BatchNormalization": case(IMAGE),
    "Bidirectional": wrapping(SEQUENCE, lambda dtype: L.LSTM(3, dtype=dtype)),
    "CenterCrop": case((8, 8, 3), height=4, width=4),
    "Concatenate": case((5,), (3,), together=True),
    "Conv1D": conv(SEQUENCE),
    "Conv1DTranspose": conv(SEQUENCE),
    "Conv2D": conv(IMAGE),
    "Conv2DTranspose": conv(IMAGE, strides=2),
    "Conv3D": conv(VOLUME),
    "Conv3DTranspose": conv(VOLUME),
    "ConvLSTM1D": conv((3, 6, 2)),
    "ConvLSTM2D": conv((3, 6, 6, 2)),
    "ConvLSTM3D": conv((3, 4, 4, 4, 2)),
    "Cropping1D": case(SEQUENCE),
    "Cropping2D": case(IMAGE, cropping=1),
    "Cropping3D": case(VOLUME),
    "Dense": case((5,), units=3, activation="softmax"),
    "DepthwiseConv1D": case(SEQUENCE, kernel_size=2),
    "DepthwiseConv2D": case(IMAGE, kernel_size=2),
    "Dot": case((5,), (5,), together=True, axes=1, normalize=True),
    "Dropout": case((5,), rate=0.3),
    "ELU": case((5,)),
    "EinsumDense": case(
        SEQUENCE, equation="abc,cd->abd", output_shape=(None, 3), bias_axes="d"
    ),
    "Embedding": case((6,), input_dim=7, output_dim=3, integers=7),
    "Flatten": case(),
    "GRU": case(SEQUENCE, units=3, return_sequences=True),
    "GRUCell": Case(
        lambda cls, dtype: L.RNN(cls(3, dtype=dtype), dtype=dtype), (SEQUENCE,)
    ),
    "GaussianDropout": case((5,), rate=0.3),
    "GaussianNoise": case((5,), stddev=0.3),
    "GlobalAveragePooling1D": case(SEQUENCE),
    "GlobalAveragePooling2D": case(IMAGE),
    "GlobalAveragePooling3D": case(VOLUME),
    "GlobalMaxPooling1D": case(SEQUENCE),
    "GlobalMaxPooling2D": case(IMAGE),
    "GlobalMaxPooling3D": case(VOLUME),
    "GroupNormalization": case(IMAGE, groups=2),
    "GroupQueryAttention": case(
        SEQUENCE, SEQUENCE, head_dim=3, num_query_heads=4, num_key_value_heads=2
    ),
    "Identity": case((5,)),
    "LSTM": case(SEQUENCE, units=3),
    "LSTMCell": Case(
        lambda cls, dtype: L.RNN(cls(3, dtype=dtype), dtype=dtype), (SEQUENCE,)
    ),
    "Lambda": Case(lambda cls, dtype: cls(keras.ops.tanh, dtype=dtype), ((5,),)),
    "LayerNormalization": case(IMAGE),
    "LeakyReLU": case((5,)),
    "Masking": case(SEQUENCE),
    "Maximum": case((5,), (5,), together=True),
    "MaxPooling1D": case(SEQUENCE),
    "MaxPooling2D": case(IMAGE, padding="same"),
    "MaxPooling3D": case(VOLUME),
    "Minimum": case((5,), (5,), together=True),
    "MultiHeadAttention": case(SEQUENCE, SEQUENCE, num_heads=2, key_dim=3),
    "Multiply": case((5,), (5,), together=True),
    "Normalization": case((3,), mean=[1.0, 2.0, 3.0], variance=[4.0, 5.0, 6.0]),
    "PReLU": case((5,)),
    "Permute": case(SEQUENCE, dims=(2, 1)),
    "RMSNormalization": case(SEQUENCE),
    "RNN": Case(
        lambda cls, dtype: cls(L.SimpleRNNCell(3, dtype=dtype), dtype=dtype),
        (SEQUENCE,),
    ),
    "ReLU": case((5,), max_value=6.0, negative_slope=0.1),
    "RepeatVector": case((5,), n=3),
    "Rescaling": case((8, 8, 3), scale=[0.1, 0.2, 0.3], offset=[1.0, 2.0, 3.0]),
    "Reshape": case(SEQUENCE, target_shape=(4, 6)),
    "ReversibleEmbedding": case((6,), input_dim=7, output_dim=3, integers=7),
    "SeparableConv1D": conv(SEQUENCE),
    "SeparableConv2D": conv(IMAGE),
    "SimpleRNN": case(SEQUENCE, units=3, dropout=0.1, recurrent_dropout=0.1),
    "SimpleRNNCell": Case(
        lambda cls, dtype: L.RNN(cls(3, dtype=dtype), dtype=dtype), (SEQUENCE,)
    ),
    "Softmax": case((5,)),
    "SpatialDropout1D": case(SEQUENCE, rate=0.3),
    "SpatialDropout2D": case(IMAGE, rate=0.3),
    "SpatialDropout3D": case(VOLUME, rate=0.3),
    "SpectralNormalization": wrapping((5,), lambda dtype: L.Dense(3, dtype=dtype)),
    "StackedRNNCells": Case(
        lambda cls, dtype: L.RNN(cells(cls, dtype), dtype=dtype), (SEQUENCE,)
    ),
    "Subtract": case((5,), (5,), together=True),
    "TimeDistributed": wrapping(SEQUENCE, lambda dtype: L.Dense(3, dtype=dtype)),
    "UnitNormalization": case((5,)),
    "UpSampling1D": case(SEQUENCE),
    "UpSampling2D": case(IMAGE, interpolation="bilinear"),
    "UpSampling3D": case(VOLUME),
    "ZeroPadding1D": case(SEQUENCE),
    "ZeroPadding2D": case(IMAGE),
    "ZeroPadding3D": case(VOLUME),
}
