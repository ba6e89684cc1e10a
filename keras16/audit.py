"""`audit(model, x, y)`: every floating tensor of the training step wider than 16 bits.

The step is traced as Keras compiles it (forward, loss, gradients, update, metrics
and loss tracking) and never run. What counts is every output of every operation, in
the step and in each function that it calls, and every variable of the model, its
metrics and its optimizer. A function that is called twice is looked at once; its
arguments count as the outputs of its own placeholders. Only tensors without elements
and scalar constants, which the compiler folds, do not count.

What a kernel accumulates inside one operation, and what XLA widens by itself, is not
counted: the audit judges what was written. On JAX that is the StableHLO, before the
compiler's own passes; what these widened is told beside it where it is asked for.
"""

from __future__ import annotations

import collections
import dataclasses
import importlib
import json
import re
import types
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from keras16.backend.tensor import Shape, Tensor
from keras16.errors import UserError

if TYPE_CHECKING:
    import keras

PRINTED_SOURCES = 10
REPLACEMENTS = ("layers", "losses", "metrics", "optimizers")


@dataclasses.dataclass(frozen=True)
class WideTensor:
    """One tensor wider than 16 bits.

    Attributes:
        operation: The type of the operation that gives it ("Cast"), or "Variable".
        dtype: "float32", "float64", "complex64" or "complex128".
        shape: None for an unknown dimension, or for an unknown rank.
        source: The layer, else the line, else the part of the framework.
    """

    operation: str
    dtype: str
    shape: Shape
    source: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class AuditReport:
    """What an audit found.

    Attributes:
        precision: What the model says that it computes in; not a finding.
        tensors: Floating tensors looked at.
        wide: Those wider than 16 bits, in the order of the program.
        compiled_tensors: Floating tensors that lie between the kernels of the
            compiled program; None where it was not asked for.
        compiled_wide_tensors: Those that the compiler has made wider than 16 bits
            for this machine; not a finding.
    """

    precision: str
    tensors: int
    wide: tuple[WideTensor, ...]
    compiled_tensors: int | None = None
    compiled_wide_tensors: int | None = None

    @property
    def wide_tensors(self) -> int:
        """How many tensors are wider than 16 bits."""
        return len(self.wide)

    @property
    def pure(self) -> bool:
        """Whether there is none."""
        return not self.wide

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        compiled = {
            "compiled_tensors": self.compiled_tensors,
            "compiled_wide_tensors": self.compiled_wide_tensors,
        }
        return {
            "precision": self.precision,
            "tensors": self.tensors,
            "wide_tensors": self.wide_tensors,
            "wide": [tensor.to_dict() for tensor in self.wide],
            **(compiled if self.compiled_tensors is not None else {}),
        }

    def to_json(self, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent)

    def advice(self) -> list[str]:
        """Which parts of keras16 would help, if any: a line, or none."""
        return [line.strip() for line in _advice(self.wide)]

    def __str__(self) -> str:
        verdict = "pure" if self.pure else "not pure"
        noun = "tensor" if self.tensors == 1 else "tensors"
        first = (
            f"{verdict}: {self.wide_tensors} of {self.tensors} floating {noun} "
            "in the training step are wider than 16 bits"
        )
        lines = (first, *_culprits(self.wide), *_advice(self.wide))
        return "\n".join((*lines, *self._beside()))

    def _beside(self) -> Iterator[str]:
        if self.compiled_tensors is not None:
            yield (
                f"  the compiler widens {self.compiled_wide_tensors} of "
                f"{self.compiled_tensors} tensors between its kernels on this machine "
                "(not counted)"
            )


def audit(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    precision: str | None = None,
    compiled: bool = False,
) -> AuditReport:
    """Traces a model's training step and lists what is wider than 16 bits.

    Nothing is run and no weight, optimizer slot or metric changes; a model that was
    never run gets its variables, as `fit` would give them.

    Args:
        model: Any compiled Keras model, with `train_step` overridden or not.
        x: One batch of inputs: an array or tensor, or a list, tuple or dict of them.
            Arrays are taken as `fit` takes them: floating ones are cast to floatx
            and the batch size is left open. Tensors are taken as a pipeline would
            yield them: shape and dtype as they are.
        y: The labels of that batch, likewise.
        sample_weight: One weight an example, likewise.
        precision: What the report calls the model's precision; None takes the name
            of its dtype policy.
        compiled: Whether the step is compiled, too, to tell what the compiler widens
            (on JAX; takes as long as compiling does). Other backends don't tell.

    Returns:
        The report; print it, or ask it for `.pure`, `.wide_tensors` and `.wide`.

    Raises:
        UserError: The model isn't a compiled Keras model, the batch doesn't fit
            together, or the step can't be traced with it.
    """
    _require_compiled(model)
    _require_one_batch({"x": x, "y": y, "sample_weight": sample_weight})
    graph = _graph()
    tensors = graph.training_step_tensors(model, x, y, sample_weight)
    found = report(tensors, precision or model.dtype_policy.name)
    if not compiled or not hasattr(graph, "compiled_widening"):
        return found
    all_of_them, wide = graph.compiled_widening(model, x, y, sample_weight)
    return dataclasses.replace(
        found, compiled_tensors=all_of_them, compiled_wide_tensors=wide
    )


def audit_passes(model: keras.Model) -> AuditReport:
    """Likewise of a model that isn't compiled: its forward and its backward pass.

    Args:
        model: With known inputs: Sequential or functional.
    """
    return report(_graph().passes_tensors(model), model.dtype_policy.name)


def report(tensors: Iterable[Tensor], precision: str) -> AuditReport:
    """Judges the tensors of any program, whatever traced it.

    Args:
        tensors: Every output of every operation, and every variable.
        precision: What the report calls the precision.
    """
    counted = [tensor for tensor in tensors if tensor.counted]
    wide = tuple(
        WideTensor(tensor.operation, tensor.dtype, tensor.shape, tensor.source)
        for tensor in counted
        if tensor.wide
    )
    return AuditReport(precision, len(counted), wide)


def _graph() -> types.ModuleType:
    import keras

    name = keras.backend.backend()
    try:
        return importlib.import_module(f"keras16.backend.{name}_graph")
    except ModuleNotFoundError as error:
        raise UserError(
            f"the audit can't read the graphs of the {name} backend: "
            "set KERAS_BACKEND=tensorflow or jax"
        ) from error


def _require_compiled(model: Any) -> None:
    import keras

    if not isinstance(model, keras.Model):
        raise UserError(
            f"audit takes a Keras model, not {type(model).__name__}: "
            "pass a compiled keras.Model"
        )
    if not model.compiled:
        raise UserError(
            f"the model {model.name!r} is not compiled: the optimizer, loss and "
            "metrics belong to the step; call model.compile(...) first"
        )


def _require_one_batch(batch: dict[str, Any]) -> None:
    examples = {
        _examples(name, leaf) for name, part in batch.items() for leaf in _leaves(part)
    }
    if not examples:
        raise UserError("x is empty: pass one batch of inputs")
    if len(examples) > 1:
        raise UserError(
            f"x, y and sample_weight hold {_listed(sorted(examples))} examples: "
            "pass one batch, with the same number in each"
        )


def _leaves(part: Any) -> Iterator[Any]:
    import keras

    return (leaf for leaf in keras.tree.flatten(part) if leaf is not None)


def _examples(name: str, leaf: Any) -> int:
    shape = getattr(leaf, "shape", None)
    if not shape:
        raise UserError(
            f"{name} holds a {type(leaf).__name__}: pass one batch of arrays or "
            "tensors, such as those of next(iter(dataset))"
        )
    return int(shape[0])


def _listed(numbers: list[int]) -> str:
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}"


def _culprits(wide: tuple[WideTensor, ...]) -> Iterator[str]:
    groups: dict[str, list[WideTensor]] = collections.defaultdict(list)
    for tensor in wide:
        groups[_group(tensor)].append(tensor)
    ranked = sorted(groups.items(), key=lambda group: -len(group[1]))
    for source, tensors in ranked[:PRINTED_SOURCES]:
        yield f"  {source}: {_kinds(tensors)}, first {_first(tensors[0])}"
    if len(ranked) > PRINTED_SOURCES:
        rest = sum(len(tensors) for _, tensors in ranked[PRINTED_SOURCES:])
        yield f"  and {rest} more, from {len(ranked) - PRINTED_SOURCES} other sources"


def _group(tensor: WideTensor) -> str:
    return "variables" if tensor.operation == "Variable" else tensor.source


def _first(tensor: WideTensor) -> str:
    if tensor.operation == "Variable":
        return tensor.source
    return f"at {tensor.operation}"


def _kinds(tensors: list[WideTensor]) -> str:
    counts = collections.Counter(tensor.dtype for tensor in tensors)
    kinds = (f"{count} {dtype}" for dtype, count in counts.items())
    return f"{' and '.join(kinds)} tensor{'s' if len(tensors) > 1 else ''}"


def _advice(wide: tuple[WideTensor, ...]) -> Iterator[str]:
    """Names the parts of keras16 that stand in for Keras' own, once each."""
    found: dict[str, None] = {}
    for tensor in wide:
        for name in re.findall(r"\bkeras (\w+)", tensor.source):
            found[name] = None
    parts = [part for part in map(_replacement, found) if part]
    if parts:
        yield f"  in 16 bits: {', '.join(parts)}"


def _replacement(name: str) -> str | None:
    """`BatchNormalization` -> `keras16.layers.BatchNormalization`, where it exists."""
    title = "".join(word[:1].upper() + word[1:] for word in name.split("_"))
    for folder in REPLACEMENTS:
        module = importlib.import_module(f"keras16.{folder}")
        if hasattr(module, title):
            return f"keras16.{folder}.{title}"
    return None
