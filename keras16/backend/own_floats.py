"""Keras' default float, for the while that one model's methods run.

Keras reads it in many places of `compile` and `fit`: data are cast to it, the loss
and its trackers are made in it. There is no argument for a single model. What is
replaced here are names of private modules, for lack of a public hook; each is given
back when the block ends.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from keras16 import backend


@contextlib.contextmanager
def used(
    policy: str, *, floatx: str | None = None, mean: type | None = None
) -> Iterator[None]:
    """Sets Keras' floatx and dtype policy, and restores them.

    Args:
        policy: Such as "float16".
        floatx: Likewise; None takes the policy's name.
        mean: What the loss trackers are made of. Batches are cast then, too; None
            leaves both to Keras.
    """
    import keras

    floatx = floatx or policy
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)
    cast = _batches_cast_to(floatx if mean else None)
    try:
        with _trackers_of(mean or keras.metrics.Mean), cast:
            yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


@contextlib.contextmanager
def _batches_cast_to(dtype: str | None) -> Iterator[None]:
    """Has `fit` and its like cast the floats of every batch before the step.

    Keras casts arrays alone: a generator's float32 batches would enter the step as
    they are. None is for Keras' own way.
    """
    device = backend.module()
    trainer, name = device.epoch_iterator()
    before = getattr(trainer, name)
    own = getattr(before, "of_keras", before)
    setattr(trainer, name, own if dtype is None else device.casting(own, dtype))
    try:
        yield
    finally:
        setattr(trainer, name, before)


@contextlib.contextmanager
def _trackers_of(mean: type) -> Iterator[None]:
    """`compile` looks the class of its loss trackers up in this module."""
    from keras.src import metrics

    before = metrics.Mean
    metrics.Mean = mean
    try:
        yield
    finally:
        metrics.Mean = before


def of(model: Any) -> contextlib.AbstractContextManager[None]:
    """The floats that a model's own methods use: a twin's; else those in use."""
    own = getattr(model, "own_floats", None)
    return own() if own is not None else contextlib.nullcontext()
