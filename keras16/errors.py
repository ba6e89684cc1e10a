"""The ways in which a command ends early, all told in one line."""

from __future__ import annotations

import importlib.util


class UserError(ValueError):
    """Input that cannot be used: the text says what is wrong and what to do.

    The command line prints it as one line and exits with 2; nothing prints a
    traceback. Library users may catch it as a `ValueError`.
    """

    # Autograph raises an error anew, with where it came from; of its own class only if
    # that is made as an `Exception` is.
    __init__ = Exception.__init__


def no_tensorflow() -> str:
    """What to do where Keras' usual backend is not installed."""
    if importlib.util.find_spec("jax"):
        return "TensorFlow is not installed, JAX is: set KERAS_BACKEND=jax."
    return "TensorFlow is not installed: pip install tensorflow."


def no_second_derivative(what: str) -> UserError:
    """What is told where a gradient is differentiated that can't be."""
    return UserError(
        f"{what} has no second derivative in 16 bits: give it dtype='float32' "
        "where gradients are differentiated."
    )


class NoSixteenBits(UserError):
    """A layer that has no 16-bit form as it was asked for.

    Attributes:
        told: What is wrong and what to do, for a model that was given as a whole: its
            layers have no dtype of their own there.
    """

    def __init__(self, told: str) -> None:
        super().__init__(f"{told}, or give the layer dtype='float32', which is wide.")
        self.told = f"{told}."


class PrecisionError(UserError):
    """Two precisions in one process, or a variable of another dtype than asked."""
