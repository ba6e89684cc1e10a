"""The tensors of a training step, read off the graph that TensorFlow traces of it.

What is private here (Keras' name scopes, the functions of a graph) serves the audit
alone.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

from keras16.backend import layer, own_floats
from keras16.backend.tensor import Shape, Tensor
from keras16.backend.tensorflow_source import Scopes, Sources
from keras16.backend.untraceable import untraceable


def training_step_tensors(
    model: Any, x: Any, y: Any = None, sample_weight: Any = None
) -> Iterator[Tensor]:
    """Every tensor of the step that `fit` would compile, then every variable.

    Args:
        model: A compiled Keras model.
        x: Inputs of one batch. Arrays are cast as `fit` casts them and leave the
            batch size open; tensors keep their dtype and shape.
        y: Its labels, likewise.
        sample_weight: Its weights, likewise.

    Raises:
        UserError: The step can't be traced with this batch.
    """
    _make_slots(model)
    before = len(_variables(model))
    with own_floats.of(model):
        step, scopes, traces = _trace(model, x, y, sample_weight)
        if len(_variables(model)) > before and traces < 2:
            # The first trace of a model that never ran also builds it.
            step, scopes, _ = _trace(model, x, y, sample_weight)
    sources = Sources(model, scopes, _input_names(step, x, y, sample_weight))
    yield from _graph_tensors(step.graph, sources, set())
    for variable in _variables(model, step.graph.variables).values():
        yield _variable_tensor(variable)


def passes_tensors(model: Any) -> Iterator[Tensor]:
    """Every tensor of a model's forward and backward pass, then its variables.

    Args:
        model: With known inputs; it needn't be compiled. The gradients are those of
            its outputs and its own losses, with respect to the trainable weights.
    """
    import keras
    import tensorflow as tf

    @tf.autograph.experimental.do_not_convert
    def passes(inputs):
        with tf.GradientTape() as tape:
            outputs = keras.tree.flatten(model(inputs, training=True))
            goals = [y for y in outputs if y.dtype.is_floating] + model.losses
        weights = [weight.value for weight in model.trainable_weights]
        return tape.gradient(goals, weights) if goals and weights else []

    inputs = keras.tree.map_structure(
        lambda x: tf.TensorSpec(x.shape, x.dtype), layer.inputs(model)
    )
    with own_floats.of(model), _recorded_scopes() as scopes:
        traced = tf.function(passes).get_concrete_function(inputs)
    sources = Sources(model, scopes, {})
    yield from _graph_tensors(traced.graph, sources, set())
    for variable in model.variables:
        yield _variable_tensor(variable)


def wide_tensors(function: Any) -> int:
    """How many tensors of a concrete function the audit would call wide."""
    tensors = _graph_tensors(function.graph, Sources(None, {}, {}), set())
    return sum(tensor.counted and tensor.wide for tensor in tensors)


def _make_slots(model: Any) -> None:
    """Makes an optimizer's slots, as `fit` would: a step that does is traced twice."""
    if not model.built or model.optimizer is None or model.optimizer.built:
        return
    try:
        model.optimizer.build(model.trainable_variables)
    except Exception as error:  # of any kind: an optimizer is anyone's code
        raise untraceable(model, error) from error


def _trace(model: Any, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Scopes, int]:
    """The step as Keras' trainer compiles it, as a concrete function.

    Also which object opens which scope, and how often the step was traced: TensorFlow
    itself traces anew what made variables of its own.
    """
    import keras
    import tensorflow as tf

    traces = 0

    @tf.autograph.experimental.do_not_convert
    def one_step(data):
        nonlocal traces
        traces += 1
        return model.distribute_strategy.run(model.train_step, args=(data,))

    function = tf.function(
        one_step, jit_compile=model.jit_compile, reduce_retracing=True
    )
    data = keras.utils.pack_x_y_sample_weight(x, y, sample_weight)
    try:
        with _recorded_scopes() as scopes:
            step = function.get_concrete_function(_specification(data))
        return step, scopes, traces
    except Exception as error:  # of any kind: a step is anyone's code
        raise untraceable(model, error) from error


def _specification(data: Any) -> Any:
    import keras
    import tensorflow as tf
    from keras.src.trainers.data_adapters.array_slicing import convert_to_sliceable

    def specification(leaf):
        if leaf is None:
            return None
        if tf.is_tensor(leaf):
            return tf.type_spec_from_value(leaf)
        array = convert_to_sliceable(leaf, target_backend="tensorflow")
        return tf.TensorSpec((None, *array.shape[1:]), array.dtype)

    return keras.tree.map_structure(specification, keras.tree.lists_to_tuples(data))


@contextlib.contextmanager
def _recorded_scopes() -> Iterator[Scopes]:
    """Notes which Keras object opens which name scope, in which graph.

    The names alone don't tell: TensorFlow numbers them, so that the first call of
    the layer "dense" may be the scope "dense_1", which another layer is called.
    """
    import tensorflow as tf
    from keras.src.backend.tensorflow.core import name_scope

    scopes: Scopes = {}
    enter = name_scope.__enter__

    def recording_enter(self):
        entered = enter(self)
        graph = tf.compat.v1.get_default_graph()
        if self.caller is not None:
            scopes[graph, graph.get_name_scope()] = self.caller
        return entered

    name_scope.__enter__ = recording_enter
    try:
        yield scopes
    finally:
        name_scope.__enter__ = enter


def _input_names(
    step: Any, x: Any, y: Any, sample_weight: Any
) -> dict[tuple[Any, str], str]:
    """(graph, placeholder) of each input -> what the caller calls it."""
    import keras

    parts = (("x", x), ("y", y), ("sample_weight", sample_weight))
    labels = [
        f"input {label}"
        for label, part in parts
        for leaf in keras.tree.flatten(part)
        if leaf is not None
    ]
    placeholders = ((step.graph, tensor.op.name) for tensor in step.graph.inputs)
    # The inputs come first; what follows is captured from outside.
    return dict(zip(placeholders, labels, strict=False))


def _graph_tensors(graph: Any, sources: Sources, seen: set[str]) -> Iterator[Tensor]:
    """The tensors of a graph and of every function that it reaches, each once."""
    for operation in graph.get_operations():
        functions = list(_functions(operation))
        for function in functions:
            sources.note_call(operation, function)
        for output in operation.outputs:
            yield _tensor(operation, output, sources)
        for function in functions:
            if function.name not in seen:
                seen.add(function.name)
                yield from _graph_tensors(function.graph, sources, seen)


def _tensor(operation: Any, output: Any, sources: Sources) -> Tensor:
    tensor = functools.partial(
        Tensor,
        operation=operation.type,
        dtype=output.dtype.base_dtype.name,
        shape=_shape(output.shape),
        constant=operation.type == "Const",
    )
    judged = tensor()
    if not (judged.counted and judged.wide):
        return judged
    return tensor(source=sources.of(operation))


def _functions(operation: Any) -> Iterator[Any]:
    """The functions that an operation may call: bodies, branches, callees."""
    graph = operation.graph
    called = graph._get_function(operation.type)
    if called is not None:  # a call written as an operation named as its function
        yield called
    for attribute in _function_attributes(operation):
        for name in _function_names(operation.get_attr(attribute)):
            function = graph._get_function(name)
            if function is None:
                raise RuntimeError(f"{operation.name} calls {name}, which isn't there")
            yield function


def _function_attributes(operation: Any) -> list[str]:
    return [
        attribute.name
        for attribute in operation.op_def.attr
        if attribute.type in ("func", "list(func)")
    ]


def _function_names(value: Any) -> list[str]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [function.name for function in values if function.name]


def _variables(model: Any, captured: Any = ()) -> dict[int, Any]:
    """Every variable once, under the identity of what holds its value."""
    own = [*model.variables, *model.metrics_variables]
    if model.optimizer is not None:
        own += model.optimizer.variables
    found: dict[int, Any] = {}
    for variable in [*own, *captured]:  # Keras' own first: their paths say more
        found.setdefault(id(getattr(variable, "_value", variable)), variable)
    return found


def _variable_tensor(variable: Any) -> Tensor:
    import tensorflow as tf

    return Tensor(
        operation="Variable",
        dtype=tf.as_dtype(variable.dtype).base_dtype.name,
        shape=_shape(tf.TensorShape(variable.shape)),
        source=getattr(variable, "path", None) or variable.name.split(":")[0],
    )


def _shape(shape: Any) -> Shape:
    return None if shape.rank is None else tuple(shape.as_list())
