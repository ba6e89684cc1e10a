"""JAX: process-wide settings and the loop that runs training steps."""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from keras16.backend import orthogonal
from keras16.backend.batches import in_batches
from keras16.backend.jax_graph import wide_tensors
from keras16.backend.jax_state import Compiled, Scope, like, tensors_of
from keras16.backend.jax_state import either as either

# A compiled program has a fixed number of rows for the order of the examples; shorter
# calls leave some of them unused. The data of a row are small beside its step.
STEPS_A_CALL = 256
WAYS = (True,)  # whether XLA compiles a function: all that there is to choose from
IS_TRIED = jax.__version__.startswith("0.10.")  # whether this version's XLA was


def configure() -> None:
    """Has products and convolutions of float32 computed in float32, not TF32."""
    jax.config.update("jax_default_matmul_precision", "highest")
    mend_keras()


def _keep_whole_numbers() -> None:
    """Has Keras make whole numbers of Python's integers where floatx is bfloat16.

    Its `convert_to_tensor` takes no dtype for floatx there, and makes them float32.
    """
    from keras.src.backend.jax import core

    standardize = keras.backend.standardize_dtype
    core.standardize_dtype = lambda dtype: dtype and standardize(dtype)


def keep_fast_kernels() -> None:
    """Nothing: the graph rewrite that costs speed is TensorFlow's alone."""


def mend_keras() -> None:
    """Has Keras' trainer add the losses in their own dtype.

    Keras adds the losses of regularizers by `ops.sum`, and JAX sums float16 in float32.
    """
    from keras.src.trainers import trainer

    trainer.ops = _TrainerOps()
    _keep_whole_numbers()
    orthogonal.draw_in_float32()


class _TrainerOps:
    """`keras.ops` as Keras' trainer sees it, with sums of scalars that stay narrow."""

    def __getattr__(self, name: str) -> Any:
        return getattr(keras.ops, name)

    def sum(self, x: Any) -> Any:
        """The sum of a loss, or of a list of them."""
        parts = x if isinstance(x, list) else [x]
        if any(len(part.shape) for part in parts):
            return keras.ops.sum(x)
        return functools.reduce(operator.add, parts)


def epoch_iterator() -> tuple[Any, str]:
    """Where Keras' trainer looks up the class of its iterator: (module, name)."""
    from keras.src.backend.jax import trainer

    return trainer, "JAXEpochIterator"


@functools.cache
def casting(iterator: Any, dtype: str) -> type:
    """Keras' iterator over batches, with their wider floats cast."""
    kind = jnp.dtype(dtype)

    def cast(leaf: Any) -> Any:
        is_wide = str(getattr(leaf, "dtype", "")) in ("float32", "float64")
        return leaf.astype(kind) if is_wide else leaf

    class Casting(iterator):
        of_keras = iterator

        def _get_iterator(self) -> Iterator[Any]:
            for batch in super()._get_iterator():
                yield keras.tree.map_structure(cast, batch)

    return Casting


def hold_state(model: Any) -> None:
    """Has a model hold its variables' values in the middle of `fit`.

    There Keras keeps them itself between two steps; the next step asks the model.
    """
    model.jax_state_sync()


def has_gpu() -> bool:
    """Whether JAX sees a GPU."""
    return any(device.platform == "gpu" for device in jax.devices())


def fused(function: Callable[..., None]) -> Callable[..., None]:
    """A function that updates variables as one program, or as part of a step's."""
    return Compiled(function)


def one_pass(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of element-wise operations: XLA makes one loop of them as it is."""
    return function


def traced_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself: tracing a branch takes JAX no time to speak of."""
    return function


def rehearsed(function: Callable[..., Any], *tensors: Any) -> Any:
    """What a function gives, by shape and dtype: it is traced and never computed.

    Variables that it makes get their first values; those that it moves stay. Called
    as it is, JAX would compile each of its operations alone: 5 s of a loss's metrics.
    """
    with Scope(initialize=True):
        return jax.eval_shape(lambda *given: tensors_of(function(*given)), *tensors)


def pullback(linear: Callable[[Any], Any], shape: tuple[int, ...], slopes: Any) -> Any:
    """The transpose of a linear function, applied to slopes by its outputs.

    Args:
        linear: Function of one tensor.
        shape: Of that tensor.
        slopes: Of the shape of what it gives; its dtype is the tensor's.
    """
    slopes = jnp.asarray(slopes)
    _, back = jax.vjp(linear, jnp.zeros(shape, slopes.dtype))
    return back(slopes)[0]


def sums_biases_in_16_bits() -> bool:
    """Whether the gradient of what was broadcast is added up in its own dtype: yes."""
    return True


@contextlib.contextmanager
def computing_float64() -> Iterator[None]:
    """A block in which there are float64 and int64: JAX narrows them unless told.

    So does Keras on JAX, whatever JAX was told: its tanh of float64 is float32.
    """
    from keras.src.backend.common import dtypes

    narrowed = dtypes.BIT64_TO_BIT32_DTYPE
    dtypes.BIT64_TO_BIT32_DTYPE = {**narrowed, "float64": "float64"}
    try:
        with jax.enable_x64(True):
            yield
    finally:
        dtypes.BIT64_TO_BIT32_DTYPE = narrowed


def own_kernels(*tensors: Any) -> None:
    """None: XLA compiles whatever runs on JAX."""


def is_compiling() -> bool:
    """Whether XLA compiles what is traced now: JAX knows no other way."""
    return True


def compiles(policy: str, float16_kernels: bool, multiplies_all: bool = True) -> bool:
    """Whether XLA shall compile the step of a policy: JAX knows no other way.

    Args:
        policy: Keras' dtype policy.
        float16_kernels: Whether oneDNN has fast ones for all of a step here.
        multiplies_all: Whether keras16's kernels would do all products of the step.
    """
    del policy, float16_kernels, multiplies_all
    return True


def state_of(model: Any) -> tuple[list[Any], ...]:
    """What Keras' step takes and gives: the variables, in its four lists."""
    return (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )


def values_of(variables: Any) -> Any:
    """The same nest with the values of the variables."""
    return keras.tree.map_structure(lambda variable: variable.value, variables)


def assign(variables: Any, values: Any) -> None:
    """Gives a nest of variables their values."""
    pairs = zip(keras.tree.flatten(variables), jax.tree.leaves(values), strict=True)
    for variable, value in pairs:
        variable.assign(value)


def in_parts(model: Any) -> contextlib.AbstractContextManager[None]:
    """A block that changes nothing: XLA compiles whole steps fast enough here."""
    del model
    return contextlib.nullcontext()


class StepGradients:
    """The gradients that the training step of a model hands to its optimizer.

    Metrics, batch statistics and random seeds move as in any step.

    Args:
        model: Compiled, its optimizer built.
        compiled: Without a meaning here: JAX compiles it.

    Attributes:
        variables: What the gradients belong to.
    """

    def __init__(self, model: Any, compiled: bool) -> None:
        del compiled
        self.model = model
        self.variables = list(model.trainable_variables)
        self._run = jax.jit(self._traced)

    def __call__(self, *batch: Any) -> list[Any]:
        """One tensor for each of `variables`.

        Args:
            *batch: x, y and, where there are any, sample weights.
        """
        variables = state_of(self.model)
        gradients, state = self._run(values_of(variables), *batch)
        assign(variables, state)
        return gradients

    def _traced(self, state: Any, *batch: Any) -> tuple[list[Any], Any]:
        found: list[Any] = []

        def apply(slots: Any, gradients: Any, weights: Any) -> tuple[Any, Any]:
            found.extend(gradients)
            return weights, slots

        # Past Keras' __setattr__, which would keep the function as state.
        vars(self.model.optimizer)["stateless_apply"] = apply
        try:
            _, state = self.model.train_step(state, batch)
        finally:
            del vars(self.model.optimizer)["stateless_apply"]
        return found, state


def on_device(x: np.ndarray) -> tuple[jax.Array, np.ndarray]:
    """The examples as a `Loop` takes them, and as an array: on a CPU in one memory."""
    held = jnp.asarray(x)
    return held, np.asarray(held)


class Loop:
    """Runs steps of a compiled Keras model on data that stay on the device.

    The order of the examples comes from the host; batches are gathered, changed and
    trained on in one compiled program. On a GPU it is many steps to a call, so that
    Python does not stand between two steps. On a CPU it is one: XLA's kernels there
    get no threads inside of a loop (a step with convolutions took 0.27 s in place of
    0.11 s), and a call costs 0.2 ms.

    Args:
        model: Compiled, its optimizer built.
        x: The examples, [examples, ...]: an array, or what `on_device` made of it.
        y: What is to be learned of them, [examples, ...].
        batch_size: Examples a step.
        change: Called in the program with (images, draws) before each step.
        stop: Called in the program after each step; a true scalar ends the call.
        compiled: Without a meaning here: JAX compiles the step.
    """

    def __init__(
        self,
        model: Any,
        x: np.ndarray | jax.Array,
        y: np.ndarray,
        *,
        batch_size: int,
        change: Callable[[Any, Any], Any],
        stop: Callable[[], Any],
        compiled: bool,
    ) -> None:
        del batch_size, compiled
        self.model = model
        self.x, self.y = jnp.asarray(x), jnp.asarray(y)
        self.change, self.stop = change, stop
        # The state is given up: it would stand in memory twice.
        self._one_step = jax.jit(self._step, donate_argnums=0)
        self._many_steps = jax.jit(self._steps, donate_argnums=0)
        self._forward = jax.jit(
            lambda state, x: model.stateless_call(*state, x, training=False)[0]
        )

    def train(self, order: np.ndarray, draws: np.ndarray) -> int:
        """Trains one step on each row of example numbers.

        Args:
            order: [steps, batch] int32.
            draws: [steps, batch, 3] int32, handed to `change`.

        Returns:
            The number of steps that were done: fewer where `stop` said so.
        """
        variables = state_of(self.model)
        run = self._by_many if has_gpu() else self._one_by_one
        state, done = run(values_of(variables), order, draws)
        assign(variables, state)
        return done

    def predict(self, x: np.ndarray, batch_size: int) -> np.ndarray:
        """The model's outputs for [examples, ...], inference mode, batch by batch."""
        state = values_of(state_of(self.model)[:2])
        return in_batches(lambda x: self._forward(state, x), x, batch_size)

    def _one_by_one(
        self, state: Any, order: np.ndarray, draws: np.ndarray
    ) -> tuple[Any, int]:
        for step, (rows, drawn) in enumerate(zip(order, draws, strict=True), 1):
            state, stopped = self._one_step(state, self.x, self.y, rows, drawn)
            if stopped:
                return state, step
        return state, len(order)

    def _by_many(
        self, state: Any, order: np.ndarray, draws: np.ndarray
    ) -> tuple[Any, int]:
        done = 0
        while done < len(order):
            rows, drawn = order[done : done + STEPS_A_CALL], draws[done:]
            given = _filled(rows), _filled(drawn[:STEPS_A_CALL]), len(rows)
            state, steps = self._many_steps(state, self.x, self.y, *given)
            done += int(steps)
            if steps < len(rows):
                break
        return state, done

    def _step(
        self, state: Any, x: Any, y: Any, rows: Any, draws: Any
    ) -> tuple[Any, Any]:
        """The state after a step, and whether to stop there."""
        images = self.change(jnp.take(x, rows, axis=0, mode="clip"), draws)
        labels = jnp.take(y, rows, axis=0, mode="clip")
        _, moved = self.model.train_step(state, (images, labels))
        moved = jax.tree.map(like, moved, state)
        with Scope(zip(self.model.metrics_variables, moved[3], strict=True)):
            return moved, self.stop()

    def _steps(
        self, state: Any, x: Any, y: Any, order: Any, draws: Any, count: Any
    ) -> tuple[Any, Any]:
        """The state after at most `count` steps, and how many they were."""

        def unfinished(carried):
            step, stopped, _ = carried
            return jnp.logical_and(step < count, jnp.logical_not(stopped))

        def one(carried):
            step, _, state = carried
            state, stopped = self._step(state, x, y, order[step], draws[step])
            return step + 1, stopped, state

        start = (jnp.int32(0), jnp.bool_(False), state)
        done, _, state = jax.lax.while_loop(unfinished, one, start)
        return state, done


def _filled(rows: np.ndarray) -> np.ndarray:
    """Some rows as `STEPS_A_CALL` of them."""
    filled = np.zeros((STEPS_A_CALL, *rows.shape[1:]), rows.dtype)
    filled[: len(rows)] = rows
    return filled


class Function:
    """A function of tensors as a training step runs it, for measuring its errors.

    Args:
        function: Takes tensors and returns a nest of them. What it makes variables
            of must be built.
        compiled: Without a meaning here: JAX compiles it.

    Attributes:
        wide: How many of its tensors are floats wider than 16 bits, known after the
            first call.
    """

    def __init__(self, function: Callable[..., Any], compiled: bool) -> None:
        del compiled
        self._function = Compiled(function)
        self.wide = 0
        self._is_counted = False

    def __call__(self, *arrays: Any) -> list[np.ndarray]:
        """Its results as arrays, flat."""
        tensors = [jnp.asarray(array) for array in arrays]
        if not self._is_counted:
            self.wide = wide_tensors(self._function.lowered(*tensors))
            self._is_counted = True
        return [np.asarray(one) for one in keras.tree.flatten(self._function(*tensors))]


def with_gradients(
    function: Callable[..., Any], weights: Sequence[Any] = ()
) -> Callable[..., list[Any]]:
    """A function of (upstream, *tensors): its value, and what flows back.

    Args:
        function: Of tensors; those of them that are floats get a gradient.
        weights: Variables of Keras that get one, too.

    Returns:
        A function that gives [value, gradients of the tensors, of the weights]. Where
        upstream is None it counts as ones.
    """

    def both(upstream, *tensors):
        places = [i for i, x in enumerate(tensors) if _is_float(x)]
        moved: list[Any] = []

        def value_of(floats, values):
            given = list(tensors)
            for place, x in zip(places, floats, strict=True):
                given[place] = x
            with Scope(zip(weights, values, strict=True)) as scope:
                value = tensors_of(function(*given))
            moved[:] = scope.moved.values()
            return value, [scope.get_current_value(variable) for variable in moved]

        sources = [tensors[place] for place in places]
        values = [weight.value for weight in weights]
        value, back, states = jax.vjp(value_of, sources, values, has_aux=True)
        for variable, state in zip(moved, states, strict=True):
            variable.assign(state)
        if upstream is None:
            upstream = jax.tree.map(jnp.ones_like, value)
        of_tensors, of_weights = back(upstream)
        return [value, *of_tensors, *of_weights]

    return both


def _is_float(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)
