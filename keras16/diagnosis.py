"""Why a run diverged, in words, from the model as it was left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from keras16.study import Run

if TYPE_CHECKING:
    import keras


def cause(model: keras.Model, x: np.ndarray, run: Run, epoch: int, step: int) -> str:
    """One line: where the run diverged, the likely cause, and what would mend it.

    Args:
        model: As the last step left it.
        x: One batch of raw inputs.
        run: For the settings that the advice names.
        epoch: In which the loss stopped being finite, from 1.
        step: Of that epoch, from 1.
    """
    where = f"the loss became NaN or infinite at step {step} of epoch {epoch}"
    return f"{where}: {_reason(model, x)}; {_remedy(run)}"


def _reason(model: keras.Model, x: np.ndarray) -> str:
    broken = [v for v in model.variables if not _finite(v)]
    trained = [v for v in broken if v.trainable]
    if trained:
        return (
            f"an update made {len(trained)} of {len(model.trainable_variables)} "
            f"weights not finite, {trained[0].path} among them"
        )
    if broken:
        return f"{broken[0].path} left the range of {broken[0].dtype}"
    layer = _first_overflow(model, x)
    if layer:
        return f"the outputs of layer {layer} leave the range of their dtype"
    return "an input or the loss itself left the range of its dtype"


def _remedy(run: Run) -> str:
    advice = f"use a learning rate below {run.learning_rate:g}"
    if run.epsilon is not None and run.epsilon < 1e-7:
        advice += f", an epsilon above {run.epsilon:g}"
    return f"{advice}, or --precision bf16, whose range is float32's"


def _first_overflow(model: keras.Model, x: np.ndarray) -> str | None:
    """The first layer, in the order of the net, whose outputs are not finite."""
    import keras

    if len(getattr(model, "inputs", None) or ()) != 1:
        return None
    inputs = model.inputs[0]
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        outputs = keras.Model(inputs, layer.output)(x, training=False)
        if _all_finite(outputs):
            continue
        if isinstance(layer, keras.Model):
            inner = keras.Model(inputs, layer.input)(x, training=False)
            return _first_overflow(layer, inner) or layer.name
        return layer.name
    return None


def _all_finite(outputs: Any) -> bool:
    import keras

    return all(
        bool(keras.ops.all(keras.ops.isfinite(one)))
        for one in keras.tree.flatten(outputs)
    )


def _finite(variable: Any) -> bool:
    if "float" not in str(variable.dtype):
        return True
    return _all_finite(variable.value)
