"""Keras' activations by name, in 16 bits, and how a layer is given them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras16 import backend
from keras16.backend import outputs
from keras16.numerics import activations as rules
from keras16.numerics import bits, softmax

Activation = Callable[..., Any]


def sixteen_bit(activation: Any) -> Any:
    """The function to use in place of one of Keras' activations.

    It is Keras' own again for tensors of other dtypes. What has no name of Keras' or
    needs no replacement comes back as it is.
    """
    name = getattr(activation, "__name__", "")
    if name not in _TABLE or getattr(keras.activations, name, None) is not activation:
        return activation
    return _made(name)


def stock(activation: Any) -> Any:
    """The inverse: Keras' own function."""
    return getattr(activation, "keras_activation", activation)


class SixteenBitActivations:
    """A mixin before a Keras layer that has an `activation`.

    In 16 bits its functions (and those of its cell, if it is a recurrent layer) are
    replaced once it is made; `get_config` tells Keras' names. With `use_cudnn=True`
    they stay, since cuDNN has its own; "auto" doesn't use cuDNN in 16 bits.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cudnn = getattr(self, "use_cudnn", False) is True
        if bits.is_16_bit(self.compute_dtype) and not cudnn:  # type: ignore[attr-defined]
            replace_in(getattr(self, "cell", self))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()  # type: ignore[misc]
        for attribute in ATTRIBUTES:
            if attribute in config:
                own = stock(getattr(self, attribute))
                config[attribute] = keras.activations.serialize(own)
        return config


ATTRIBUTES = ("activation", "recurrent_activation")


def replace_in(layer: Any) -> None:
    """Gives a layer or a cell the 16-bit functions of its activations."""
    for attribute in ATTRIBUTES:
        activation = getattr(layer, attribute, None)
        if activation is not None:
            setattr(layer, attribute, sixteen_bit(activation))


@functools.cache
def _made(name: str) -> Activation:
    keras_activation = getattr(keras.activations, name)
    ours = _TABLE[name]

    @functools.wraps(keras_activation)
    def activation(x: Any, *args: Any, **kwargs: Any) -> Any:
        x = ops.convert_to_tensor(x)
        if not bits.is_16_bit(x.dtype):
            return keras_activation(x, *args, **kwargs)
        return ours(x, *args, **kwargs)

    activation.keras_activation = keras_activation  # type: ignore[attr-defined]
    return activation


def _by_rule(rule: rules.Rule) -> Activation:
    return lambda x: rules.differentiable(rule, x)


def _elu(x: Any, alpha: float = 1.0) -> Any:
    return rules.differentiable(rules.elu(alpha), x)


def _celu(x: Any, alpha: float = 1.0) -> Any:
    return rules.differentiable(rules.celu(alpha), x)


def _squareplus(x: Any, b: float = 4) -> Any:
    return rules.differentiable(rules.squareplus(b), x)


def _gelu(x: Any, approximate: bool = False) -> Any:
    rule = rules.approximate_gelu if approximate else rules.gelu
    return rules.differentiable(rule, x)


def _glu(x: Any, axis: int = -1) -> Any:
    value, gate = ops.split(x, 2, axis=axis)
    return value * rules.differentiable(rules.sigmoid, gate)


def _relu(
    x: Any,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Any:
    """Keras' own is exact; a kernel of keras16's, where there is one, is faster."""
    own = backend.module().own_kernels(x)
    plain = not (negative_slope or threshold) and (max_value is None or max_value > 0)
    if own is not None and plain:
        return own.relu(x, max_value)
    return keras.activations.relu(x, negative_slope, max_value, threshold)


def _relu6(x: Any) -> Any:
    return _relu(x, max_value=6.0)


def _softmax(x: Any, axis: Any = -1) -> Any:
    return _with_logits(softmax.softmax(x, axis), x)


def _sigmoid(x: Any) -> Any:
    return _with_logits(rules.differentiable(rules.sigmoid, x), x)


def _with_logits(probabilities: Any, logits: Any) -> Any:
    """Leaves the logits on the probabilities, where losses look for them."""
    outputs.note_logits(probabilities, logits)
    return probabilities


_TABLE: dict[str, Activation] = {
    "celu": _celu,
    "elu": _elu,
    "gelu": _gelu,
    "glu": _glu,
    "log_sigmoid": _by_rule(rules.log_sigmoid),
    "log_softmax": softmax.log_softmax,
    "mish": _by_rule(rules.mish),
    "relu": _relu,
    "relu6": _relu6,
    "selu": _by_rule(rules.selu),
    "sigmoid": _sigmoid,
    "silu": _by_rule(rules.silu),
    "softmax": _softmax,
    "softplus": _by_rule(rules.softplus),
    "softsign": _by_rule(rules.softsign),
    "squareplus": _squareplus,
    "tanh": _by_rule(rules.tanh),
    "tanh_shrink": _by_rule(rules.tanh_shrink),
}
