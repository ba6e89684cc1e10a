"""The tensors of a training step, read off the StableHLO that JAX makes of it.

That is the program before the compiler's own passes. What is private here (Keras'
name scopes, the state of its trainer) serves the audit alone.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator
from typing import Any

from keras16.backend import hlo, layer, own_floats
from keras16.backend.jax_source import Scopes, Sources, scope_name
from keras16.backend.tensor import Tensor
from keras16.backend.untraceable import untraceable

EXAMPLES = 2  # of a batch whose size a model leaves open: JAX wants one
DTYPES = {"f": "float", "bf": "bfloat"}


def training_step_tensors(
    model: Any, x: Any, y: Any = None, sample_weight: Any = None
) -> Iterator[Tensor]:
    """Every tensor of the step that `fit` would compile, then every variable.

    Args:
        model: A compiled Keras model.
        x: Inputs of one batch. Arrays are cast as `fit` casts them; tensors keep
            their dtype.
        y: Its labels, likewise.
        sample_weight: Its weights, likewise.

    Raises:
        UserError: The step can't be traced with this batch.
    """
    with own_floats.of(model):
        lowered, scopes = _trace(model, x, y, sample_weight)
    names = _argument_names(model, x, y, sample_weight)
    yield from _program_tensors(lowered, Sources(model, scopes), names)
    for variable in _variables(model):
        yield _variable_tensor(variable)


def compiled_widening(
    model: Any, x: Any, y: Any = None, sample_weight: Any = None
) -> tuple[int, int]:
    """The floating tensors of the compiled step, and those wider than 16 bits.

    Args: as of `training_step_tensors`. The step is compiled, and not run.
    """
    with own_floats.of(model):
        lowered, _ = _trace(model, x, y, sample_weight)
        return hlo.widening(lowered.compile().as_text())


def passes_tensors(model: Any) -> Iterator[Tensor]:
    """Every tensor of a model's forward and backward pass, then its variables.

    Args:
        model: With known inputs; it needn't be compiled. The gradients are those of
            its outputs and its own losses, with respect to the trainable weights.
    """
    import jax
    import keras

    def goals(weights, others, inputs):
        outputs, _, losses = model.stateless_call(
            weights, others, inputs, training=True, return_losses=True
        )
        floats = [y for y in keras.tree.flatten(outputs) if "float" in str(y.dtype)]
        return floats + list(losses)

    def passes(weights, others, inputs):
        found, back = jax.vjp(lambda given: goals(given, others, inputs), weights)
        return back([jax.numpy.ones_like(goal) for goal in found])

    inputs = keras.tree.map_structure(
        lambda x: jax.ShapeDtypeStruct(_closed(x.shape), x.dtype), layer.inputs(model)
    )
    weights = [v.value for v in model.trainable_variables]
    others = [v.value for v in model.non_trainable_variables]
    with own_floats.of(model), _recorded_scopes() as scopes:
        lowered = jax.jit(passes, keep_unused=True).lower(weights, others, inputs)
    names = [""] * (len(weights) + len(others)) + ["input x"] * len(
        keras.tree.flatten(inputs)
    )
    yield from _program_tensors(lowered, Sources(model, scopes), names)
    for variable in model.variables:
        yield _variable_tensor(variable)


def wide_tensors(lowered: Any) -> int:
    """How many tensors of a lowered function the audit would call wide."""
    tensors = _program_tensors(lowered, Sources(None, {}))
    return sum(tensor.counted and tensor.wide for tensor in tensors)


def _trace(model: Any, x: Any, y: Any, sample_weight: Any) -> tuple[Any, Scopes]:
    """The step as Keras' trainer compiles it, lowered."""
    import jax
    import keras

    def one_step(state, data):  # a new function each time: JAX keeps traces
        return model.train_step(state, data)

    try:
        data = _specification(keras.utils.pack_x_y_sample_weight(x, y, sample_weight))
        model._symbolic_build(data_batch=_zeros(data))
        state = model._get_jax_state(
            trainable_variables=True,
            non_trainable_variables=True,
            optimizer_variables=True,
            metrics_variables=True,
        )
        with _recorded_scopes() as scopes:
            step = jax.jit(one_step, donate_argnums=0, keep_unused=True)
            return step.lower(state, data), scopes
    except Exception as error:  # of any kind: a step is anyone's code
        raise untraceable(model, error) from error


def _specification(data: Any) -> Any:
    import jax
    import keras
    from keras.src.trainers.data_adapters.array_slicing import convert_to_sliceable

    def specification(leaf):
        if leaf is None:
            return None
        if not isinstance(leaf, jax.Array):
            leaf = convert_to_sliceable(leaf, target_backend="jax")[:]
        kind = jax.dtypes.canonicalize_dtype(leaf.dtype)
        return jax.ShapeDtypeStruct(tuple(leaf.shape), kind)

    return keras.tree.map_structure(specification, keras.tree.lists_to_tuples(data))


def _zeros(data: Any) -> Any:
    """A batch of that specification: what Keras builds a model with."""
    import keras
    import numpy as np

    return keras.tree.map_structure(
        lambda leaf: None if leaf is None else np.zeros(leaf.shape, leaf.dtype), data
    )


@contextlib.contextmanager
def _recorded_scopes() -> Iterator[Scopes]:
    """Notes which Keras object opens which name scope.

    The names alone don't tell: two layers may have one name. So each scope gets a
    number for a name, which JAX hands on to the operations of the gradients.
    """
    import jax
    from keras.src.backend.jax.core import name_scope

    scopes: Scopes = {}
    enter = name_scope.__enter__

    def recording_enter(self):
        if self.caller is not None:
            scopes[len(scopes)] = self.caller
            self._jax_name_scope = jax.named_scope(scope_name(len(scopes) - 1))
        return enter(self)

    name_scope.__enter__ = recording_enter
    try:
        yield scopes
    finally:
        name_scope.__enter__ = enter


def _argument_names(model: Any, x: Any, y: Any, sample_weight: Any) -> list[str]:
    """What the caller calls each argument of the program; "" of a variable."""
    import keras

    parts = (("x", x), ("y", y), ("sample_weight", sample_weight))
    labels = [
        f"input {label}"
        for label, part in parts
        for leaf in keras.tree.flatten(part)
        if leaf is not None
    ]
    return [""] * len(_variables(model)) + labels


def _program_tensors(
    lowered: Any, sources: Sources, names: list[str] | tuple[str, ...] = ()
) -> Iterator[Tensor]:
    """The tensors of a program and of every function that it calls, each once.

    Args:
        lowered: JAX's.
        sources: Names them.
        names: Of the arguments; those without one are told of elsewhere.
    """
    module = lowered.compiler_ir("stablehlo")
    functions = {one.sym_name.value: one for one in module.body.operations}
    arguments = functions["main"].arguments
    for argument, name in zip(arguments, names, strict=bool(names)):
        if name:
            yield _tensor("Argument", argument.type, False, lambda name=name: name)
    yield from _function_tensors("main", functions, sources, set())


def _function_tensors(
    name: str, functions: dict[str, Any], sources: Sources, seen: set[str]
) -> Iterator[Tensor]:
    """Likewise of one function; the first call of a function stands."""
    seen.add(name)
    called = []
    for operation in _operations(functions[name].operation):
        for result in operation.results:
            yield _tensor(
                operation.name.partition(".")[2] or operation.name,
                result.type,
                operation.name == "stablehlo.constant",
                functools.partial(sources.of, name, operation.location),
            )
        for callee in _callees(operation):
            sources.note_call(name, operation.location, callee)
            called.append(callee)
    for callee in called:
        if callee not in seen:
            yield from _function_tensors(callee, functions, sources, seen)


def _operations(operation: Any) -> Iterator[Any]:
    """The operations inside one, however deep: bodies of loops, branches."""
    for region in operation.regions:
        for block in region.blocks:
            for view in block.operations:
                inner = view.operation
                yield inner
                yield from _operations(inner)


def _callees(operation: Any) -> list[str]:
    if "callee" not in operation.attributes:
        return []
    return [str(operation.attributes["callee"]).lstrip("@").strip('"')]


def _tensor(operation: str, kind: Any, constant: bool, source: Any) -> Tensor:
    """One result; the source is asked for where it is wide."""
    element = getattr(kind, "element_type", None)
    if element is None:  # a token, such as orders prints on the host
        return Tensor(operation, str(kind), ())
    known = Tensor(operation, _dtype(str(element)), tuple(kind.shape), constant)
    if not (known.counted and known.wide):
        return known
    return Tensor(operation, known.dtype, known.shape, constant, source())


def _dtype(element: str) -> str:
    """`f32` -> "float32"; `complex<f32>` -> "complex64"; others as they are."""
    if element.startswith("complex"):
        return f"complex{2 * int(element[9:-1])}"
    letters, digits = re.fullmatch(r"([a-zA-Z]+)(.*)", element).groups()  # type: ignore[union-attr]
    return DTYPES.get(letters, letters) + digits


def _variables(model: Any) -> list[Any]:
    """Every variable of the step, in the order of its arguments."""
    return [
        *model.trainable_variables,
        *model.non_trainable_variables,
        *(model.optimizer.variables if model.optimizer is not None else ()),
        *model.metrics_variables,
    ]


def _variable_tensor(variable: Any) -> Tensor:
    return Tensor(
        operation="Variable",
        dtype=str(variable.dtype),
        shape=tuple(variable.shape),
        source=getattr(variable, "path", None) or variable.name,
    )


def _closed(shape: Any) -> tuple[int, ...]:
    return tuple(EXAMPLES if length is None else length for length in shape)
