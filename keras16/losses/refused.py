"""Keras' losses that have no 16-bit form: they say so instead of going wrong."""

from __future__ import annotations

import keras

from keras16.losses._sixteen import Refused


@keras.saving.register_keras_serializable(package="keras16")
class CTC(Refused, keras.losses.CTC):
    """Keras' loss of that name; refused in 16 bits but with `dtype="float32"`."""

    refused_because = (
        "the sums over paths are computed in float32 inside TensorFlow's own kernel"
    )


@keras.saving.register_keras_serializable(package="keras16")
class Circle(Refused, keras.losses.Circle):
    """Keras' loss of that name; refused in 16 bits but with `dtype="float32"`."""

    refused_because = (
        "its exponents, gamma 80 times squared similarities, need more digits "
        "than float16 has"
    )
