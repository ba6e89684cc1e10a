"""Whether XLA shall compile a model's training steps on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from keras16 import backend, hardware
from keras16.losses.function import OfFunction

STEP = ("call", "train_step", "compute_loss")  # of a model: they may do anything
# Layers of keras16 that leave products to Keras, or means of windows.
LEFT_TO_KERAS = ("AveragePooling3D", "Conv3DTranspose", "Dot")
# Keras' own layers and operations that neither multiply matrices nor add many numbers.
# Of all others nothing is known.
PLAIN_LAYERS = (
    *("InputLayer", "Functional", "Sequential", "TimeDistributed", "Bidirectional"),
    *("Flatten", "Reshape", "Permute", "RepeatVector", "Identity"),
    *(f"{name}{rank}D" for name in ("ZeroPadding", "Cropping") for rank in (1, 2, 3)),
    *("Add", "Subtract", "Multiply", "Maximum", "Minimum", "Concatenate"),
    *(f"GlobalMaxPooling{rank}D" for rank in (1, 2, 3)),
)
PLAIN_OPERATIONS = (
    *("Add", "Subtract", "Multiply", "Divide", "Negative", "Maximum", "Minimum"),
    *("Reshape", "Transpose", "Squeeze", "ExpandDims", "GetItem", "Concatenate"),
    *("Relu", "Relu6", "Sigmoid", "Tanh", "Pad", "Cast"),
)


def compiles(model: keras.Model, policy: str, loss: Any) -> bool:
    """Whether it is right, and faster, to let XLA compile a step.

    Args:
        model: Built or not.
        policy: Keras' dtype policy of the step.
        loss: Of the model: a loss, or whatever holds several.
    """
    ours = is_ours(model, policy) and not any(
        isinstance(one, OfFunction) for one in keras.tree.flatten(loss)
    )
    return backend.module().compiles(policy, hardware.float16_kernels(), ours)


def is_ours(model: Any, policy: str) -> bool:
    """Whether nothing but our kernels multiplies 16-bit matrices in a model's step.

    Or, at pure float16 on a CPU that has its arithmetic, oneDNN's: models are of our
    layers there. Elsewhere TensorFlow's own kernels are slow, and the gradients of its
    convolutions and the means of its windows are added up in float16: a step that may
    have some is left to XLA.

    Args:
        model: Of keras16's layers, or of others.
        policy: Keras' dtype policy of the step.
    """
    if policy == "float16" and hardware.native_float16():
        return True
    classes = [cls for cls in type(model).__mro__ if not _is_known(cls)]
    overridden = any(name in vars(cls) for cls in classes for name in STEP)
    return not overridden and all(_is_served(one) for one in _operations(model))


def _is_known(cls: type) -> bool:
    return cls.__module__.startswith(("keras.", "keras16."))


def _operations(model: Any) -> Iterator[Any]:
    """All operations of a model and of those in it, layers within layers too."""
    yield from model._flatten_layers(include_self=False)
    for part in model._flatten_layers():
        yield from getattr(part, "operations", ())


def _is_served(operation: Any) -> bool:
    cls = type(operation)
    if cls.__module__.startswith("keras16."):
        is_recurrent = cls.__module__.endswith(".recurrent")
        return not is_recurrent and cls.__name__ not in LEFT_TO_KERAS
    is_layer = isinstance(operation, keras.layers.Layer)
    return _is_known(cls) and cls.__name__ in (
        PLAIN_LAYERS if is_layer else PLAIN_OPERATIONS
    )
