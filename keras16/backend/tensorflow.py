"""TensorFlow: process-wide settings and the loop that runs training steps."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import tensorflow as tf

from keras16.backend import orthogonal, tensorflow_kernels
from keras16.backend.batches import in_batches
from keras16.backend.tensorflow_graph import wide_tensors

WAYS = (False, True)  # whether XLA compiles a function, or TensorFlow's kernels run it
IS_TRIED = tf.__version__.startswith("2.21.")  # whether this version's XLA was


def configure() -> None:
    """Turns off TF32 and the graph rewrite that costs 16-bit nets their speed.

    The remapper fuses MatMul or Conv2D + BiasAdd + Relu into oneDNN primitives
    that have only a reference kernel in float16 on the CPU (1,000 times slower).
    """
    tf.config.experimental.enable_tensor_float_32_execution(False)
    keep_fast_kernels()
    mend_keras()


def keep_fast_kernels() -> None:
    """Turns off that graph rewrite alone: it changes speed, and no precision."""
    tf.config.optimizer.set_experimental_options({"remapping": False})


def mend_keras() -> None:
    """Has Keras' trainer log numbers of Python's where they are bfloat16, too.

    It asks for `float(value)`, which TensorFlow's tensors of that dtype refuse, and
    keeps the tensor then: a `History` of them can't be written as JSON, say. And has
    Keras draw the orthogonal weights that TensorFlow has none of.
    """
    from keras.src.backend.tensorflow import trainer
    from keras.src.utils import python_utils

    trainer.pythonify_logs = python_utils.pythonify_logs = _as_numbers(
        getattr(python_utils.pythonify_logs, "of_keras", python_utils.pythonify_logs)
    )
    orthogonal.draw_in_float32()


def _as_numbers(of_keras: Callable[..., dict[str, Any]]) -> Any:
    """Keras' function that makes numbers of logs, for tensors of any float."""

    @functools.wraps(of_keras)
    def pythonify_logs(logs: Any) -> dict[str, Any]:
        return {
            key: float(value.numpy()) if _is_scalar(value) else value
            for key, value in of_keras(logs).items()
        }

    pythonify_logs.of_keras = of_keras  # type: ignore[attr-defined]
    return pythonify_logs


def _is_scalar(value: Any) -> bool:
    return tf.is_tensor(value) and hasattr(value, "numpy") and value.shape.rank == 0


def epoch_iterator() -> tuple[Any, str]:
    """Where Keras' trainer looks up the class of its iterator: (module, name)."""
    from keras.src.backend.tensorflow import trainer

    return trainer, "TFEpochIterator"


@functools.cache
def casting(iterator: Any, dtype: str) -> type:
    """Keras' iterator over batches, with their wider floats cast.

    Those of a tf.data pipeline or a generator, too.
    """

    class Casting(iterator):
        of_keras = iterator

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._distributed_dataset = _narrow(
                self._distributed_dataset,  # type: ignore[has-type]
                dtype,
            )

    return Casting


def _narrow(dataset: Any, dtype: str) -> Any:
    """A data set whose wider floats are cast."""

    def cast(tensor: Any) -> Any:
        wide = tf.is_tensor(tensor) and tensor.dtype.is_floating
        return tf.cast(tensor, dtype) if wide else tensor

    specification = tf.nest.flatten(dataset.element_spec)
    if not isinstance(dataset, tf.data.Dataset) or not any(
        getattr(one, "dtype", tf.int32) in (tf.float32, tf.float64)
        for one in specification
    ):
        return dataset
    is_tuple = isinstance(dataset.element_spec, tuple)

    def cast_all(*batch: Any) -> Any:
        narrow = tf.nest.map_structure(cast, batch)
        return narrow if is_tuple else narrow[0]

    return dataset.map(cast_all)


def hold_state(model: Any) -> None:
    """Nothing: in the middle of `fit`, too, a model holds its variables' values."""


def has_gpu() -> bool:
    """Whether TensorFlow sees a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


def described() -> dict[str, Any]:
    """What TensorFlow was built for, and the GPUs that it sees by name.

    Returns:
        "backend_gpus", "cuda_build" and "cuda_version"; "own_kernels": the
        vectors that keras16's compute in, "" where there are none.
    """
    build = tf.sysconfig.get_build_info()
    gpus = tf.config.list_physical_devices("GPU")
    details = map(tf.config.experimental.get_device_details, gpus)
    return {
        "backend_gpus": tuple(one.get("device_name", "a GPU") for one in details),
        "cuda_build": bool(build.get("is_cuda_build")),
        "cuda_version": str(build.get("cuda_version", "")),
        "own_kernels": tensorflow_kernels.vectors(),
    }


def fused(function: Callable[..., None]) -> Callable[..., None]:
    """A function that updates variables as one XLA cluster, in any graph."""
    return tf.function(function, jit_compile=True, autograph=False)


def one_pass(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of element-wise operations that goes through memory once.

    TensorFlow's kernels go through it once for each operation; XLA makes one loop of
    them all, in a plain graph too. It is compiled once for each shape and dtype.
    """
    return _graph(function, compiled=True)


def _graph(function: Callable[..., Any], compiled: bool, **options: Any) -> Any:
    """A graph of a function for each shape.

    TensorFlow counts traces by the line of code, and so would take the graphs of
    several runs in one process for retracing, and warn.

    Args:
        function: Of tensors.
        compiled: Whether XLA compiles it.
        options: Of `tf.function`.
    """
    made = tf.function(function, jit_compile=compiled, autograph=False, **options)
    made._omit_frequent_tracing_warning = True
    return made


def traced_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors whose graph is made once for each shape and dtype.

    Tracing is what a first step spends half its time on, and a deep net has a hundred
    layers that do the same to as many channels. Branches on a number that only the
    run knows take a tenth of a second each. For XLA there is a graph of its own: it has
    no part in our kernels.
    """
    plain, for_xla = (tf.function(function, autograph=False) for _ in range(2))

    @functools.wraps(function)
    def traced(*tensors: Any) -> Any:
        return (for_xla if tensorflow_kernels.in_xla() else plain)(*tensors)

    return traced


def rehearsed(function: Callable[..., Any], *tensors: Any) -> Any:
    """What a function gives, computed: cheap here, and an error names its line."""
    return function(*tensors)


def pullback(linear: Callable[[Any], Any], shape: tuple[int, ...], slopes: Any) -> Any:
    """The transpose of a linear function, applied to slopes by its outputs.

    Args:
        linear: Function of one tensor.
        shape: Of that tensor.
        slopes: Of the shape of what it gives; its dtype is the tensor's.
    """
    slopes = tf.convert_to_tensor(slopes)
    with tf.GradientTape() as tape:
        x = tf.zeros(shape, slopes.dtype)
        tape.watch(x)
        y = linear(x)
    return tape.gradient(y, x, output_gradients=slopes)


def either(
    condition: Any, then: Callable[[], None], otherwise: Callable[[], None]
) -> None:
    """Moves variables as one function or the other does.

    Args:
        condition: A boolean scalar tensor.
        then: Moves variables where it is true.
        otherwise: Moves them where it is false.
    """
    tf.cond(condition, then, otherwise)


def sums_biases_in_16_bits() -> bool:
    """Whether the gradient of a bias is added up in its own dtype: not `BiasAdd`'s."""
    return False


def computing_float64() -> contextlib.AbstractContextManager[Any]:
    """A block in which there are float64 and int64, as TensorFlow always has them."""
    return contextlib.nullcontext()


def own_kernels(*tensors: Any) -> ModuleType | None:
    """The kernels of keras16 for these tensors; None where TensorFlow's are taken."""
    return tensorflow_kernels if tensorflow_kernels.take(*tensors) else None


def is_compiling() -> bool:
    """Whether XLA compiles what is traced now."""
    return has_gpu() or tensorflow_kernels.in_xla()


def compiles(policy: str, float16_kernels: bool, multiplies_all: bool = True) -> bool:
    """Whether XLA shall compile the step of a policy.

    On a GPU it always does. On a CPU for which oneDNN has float16 kernels, its
    convolutions are several times faster than XLA's; so are our own. Elsewhere there is
    XLA: Eigen's kernels are slow, and its filter gradient adds in float16 (1.7 % off
    for 256 images of 32 x 32), while XLA widens inside the kernel. All of this is true
    of mixed precision, too, lest pure float16 be compared with a baseline that no GPU
    has.

    Args:
        policy: Keras' dtype policy.
        float16_kernels: Whether oneDNN has fast ones for all of a step here.
        multiplies_all: Whether our kernels, where there are some, would do all
            products of the step.
    """
    if has_gpu():
        return True
    if policy not in ("float16", "mixed_float16") or float16_kernels:
        return False
    return not (multiplies_all and tensorflow_kernels.available())


class StepGradients:
    """The gradients that the training step of a model hands to its optimizer.

    Metrics, batch statistics and random seeds move as in any step.

    Args:
        model: Compiled, its optimizer built.
        compiled: Whether XLA compiles it, as it does the step.

    Attributes:
        variables: What the gradients belong to; known after the first call.
    """

    def __init__(self, model: Any, compiled: bool) -> None:
        self.model = model
        self.variables: list[Any] = []
        self.run = _graph(self._traced, compiled)

    def __call__(self, *batch: Any) -> list[Any]:
        """One tensor for each of `variables`; None where the loss has none.

        Args:
            *batch: x, y and, where there are any, sample weights.
        """
        return self.run(batch)[0]

    def _traced(self, batch: Any) -> tuple[list[Any], Any]:
        """The gradients, and what the step itself returns."""
        found: list[Any] = []

        def apply(gradients: Any, variables: Any = None) -> None:
            given = self.model.optimizer._trainable_variables
            self.variables = list(given if variables is None else variables)
            found.extend(gradients)

        # Past Keras' __setattr__, which would keep the function as state.
        vars(self.model.optimizer)["apply"] = apply
        try:
            logs = self.model.train_step(batch)
        finally:
            del vars(self.model.optimizer)["apply"]
        return [None if g is None else tf.convert_to_tensor(g) for g in found], logs


def _updates_apart(model: Any, compiled: bool) -> bool:
    """Whether an optimizer's updates shall stay out of a compiled training step.

    Those of keras16's optimizers are compiled once for all variables of a shape, while
    inside a step that XLA compiles for a CPU it would be once for each variable, which
    takes most of the first step's time.
    """
    compiles_itself = getattr(model.optimizer, "compiles_updates", False)
    return compiled and compiles_itself and not has_gpu()


def _two_parts(model: Any) -> Callable[[Any], Any]:
    """A training step of which XLA compiles all but the updates; returns its logs."""
    gradients = StepGradients(model, compiled=True)

    def step(batch: Any) -> Any:
        found, logs = gradients.run(batch)
        model.optimizer.apply(found, gradients.variables)
        return logs

    return step


@contextlib.contextmanager
def in_parts(model: Any) -> Iterator[None]:
    """A block in which Keras makes a training function that leaves updates apart.

    Args:
        model: Compiled; its training step hands all gradients to the optimizer at once.
    """
    compiled = bool(model.jit_compile)
    is_usual = not (model.run_eagerly or tf.distribute.has_strategy())
    if not (is_usual and _updates_apart(model, compiled)):
        yield
        return
    model.jit_compile = False
    vars(model)["train_step"] = _two_parts(model)
    try:
        yield
    finally:
        del vars(model)["train_step"]
        model.jit_compile = compiled


def _step_of(model: Any, compiled: bool) -> Any:
    """A training step as a graph."""
    if not _updates_apart(model, compiled):
        return _graph(lambda x, y: model.train_step((x, y)) and None, compiled)
    step = _two_parts(model)
    return _graph(lambda x, y: step((x, y)) and None, compiled=False)


def on_device(x: np.ndarray) -> tuple[tf.Tensor, np.ndarray]:
    """The examples as a `Loop` takes them, and as an array: on a CPU in one memory.

    A constant made of an array keeps two copies of it for as long as it lives, which
    of CIFAR-10 are 300 MB beside the array's own (measured with TensorFlow 2.21).
    """
    tensor = tf.identity(tf.constant(x))
    return tensor, np.asarray(tensor)


class Loop:
    """Runs steps of a compiled Keras model on data that stay on the device.

    The order of the examples comes from the host; batches are gathered, changed
    and trained on in the graph, many steps to a call, so that neither an input
    pipeline nor Python stands between two steps.

    Args:
        model: Compiled, its optimizer built.
        x: The examples, [examples, ...]: an array, or what `on_device` made of it.
        y: What is to be learned of them, [examples, ...].
        batch_size: Examples a step.
        change: Called in the graph with (images, draws) before each step.
        stop: Called in the graph after each step; a true scalar ends the call.
        compiled: Whether XLA compiles the step.
    """

    def __init__(
        self,
        model: Any,
        x: np.ndarray | tf.Tensor,
        y: np.ndarray,
        *,
        batch_size: int,
        change: Callable[[Any, Any], Any],
        stop: Callable[[], Any],
        compiled: bool,
    ) -> None:
        self.model = model
        self.x = x if isinstance(x, tf.Tensor) else on_device(x)[0]
        self.y = tf.constant(y)
        self.change, self.stop = change, stop
        self._step = _step_of(model, compiled)
        self._forward = _graph(lambda x: model(x, training=False), compiled)
        # The number of steps is left open: a trace for each number would be paid
        # for inside the epoch's clock.
        rows = (None, batch_size)
        self._steps = _graph(
            self._run,
            compiled=False,
            input_signature=[
                tf.TensorSpec(rows, tf.int32),
                tf.TensorSpec((*rows, None), tf.int32),
            ],
        )

    def train(self, order: np.ndarray, draws: np.ndarray) -> int:
        """Trains one step on each row of example numbers.

        Args:
            order: [steps, batch] int32.
            draws: [steps, batch, 3] int32, handed to `change`.

        Returns:
            The number of steps that were done: fewer where `stop` said so.
        """
        return int(self._steps(tf.constant(order), tf.constant(draws)))

    def predict(self, x: np.ndarray, batch_size: int) -> np.ndarray:
        """The model's outputs for [examples, ...], inference mode, batch by batch."""
        return in_batches(lambda x: self._forward(tf.constant(x)), x, batch_size)

    def _run(self, order: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        def unfinished(step, stopped):
            return tf.logical_and(step < tf.shape(order)[0], tf.logical_not(stopped))

        def one(step, stopped):
            del stopped
            rows = order[step]
            images = self.change(tf.gather(self.x, rows), draws[step])
            self._step(images, tf.gather(self.y, rows))
            return step + 1, self.stop()

        start = (tf.constant(0), tf.constant(False))
        return tf.while_loop(unfinished, one, start, parallel_iterations=1)[0]


class Function:
    """A function of tensors as a training step runs it, for measuring its errors.

    Args:
        function: Takes tensors and returns a nest of them. What it makes variables
            of must be built.
        compiled: Whether XLA compiles it; else it runs as a plain graph.

    Attributes:
        wide: How many of its tensors are floats wider than 16 bits, known after the
            first call.
    """

    def __init__(self, function: Callable[..., Any], compiled: bool) -> None:
        self._function = _graph(function, compiled)
        self.wide = 0
        self._is_counted = False

    def __call__(self, *arrays: Any) -> list[np.ndarray]:
        """Its results as arrays, as flat as `tf.nest` makes them."""
        tensors = [tf.constant(array) for array in arrays]
        if not self._is_counted:
            self.wide = wide_tensors(self._function.get_concrete_function(*tensors))
            self._is_counted = True
        results = tf.nest.flatten(self._function(*tensors))
        return [tf.convert_to_tensor(each).numpy() for each in results]


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
        sources = [each for each in tensors if each.dtype.is_floating]
        sources += [weight.value for weight in weights]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            value = function(*tensors)
        return [value, *tape.gradient(value, sources, upstream)]

    return both
