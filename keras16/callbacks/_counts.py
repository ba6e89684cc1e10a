"""What a step did to the weights of a layer, counted."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

import ml_dtypes
import numpy as np

from keras16.optimizers._observed import Observed

UNSAFE = re.compile(r"[^-\w./: ]+")  # in the name of a metric of MLflow's


@dataclasses.dataclass(frozen=True)
class Layer:
    """The numerics of one layer in one step, or of the whole model.

    Attributes:
        name: Of the layer, with those of the models around it where another has the
            same; "" of the whole model.
        weights: How many it trains.
        zero_gradients: Share of the gradients that are 0.
        subnormal_gradients: Share that is below the smallest normal number of its
            dtype (6.1e-5 in float16) and not 0.
        overflows: Share that is infinite or NaN.
        lost_updates: Share of the weights that the step meant to change that are as
            they were; None where it meant to change none.
        zero_second_moments: Share of the weights with a gradient whose second moment
            is 0 after the step; None without such weights or moments.
        descent_quality: (applied . intended) / (intended . intended): 1 where
            rounding costs nothing; None where nothing was intended. Weights whose
            update is infinite or NaN are left out.

    Source of the last: Zamirai et al., arXiv 2010.06192, section 3.
    """

    name: str
    weights: int
    zero_gradients: float
    subnormal_gradients: float
    overflows: float
    lost_updates: float | None
    zero_second_moments: float | None
    descent_quality: float | None


SHARES = tuple(field.name for field in dataclasses.fields(Layer))[2:]


@dataclasses.dataclass(frozen=True)
class Observation:
    """What was seen after one epoch.

    Attributes:
        epoch: Counted from 1.
        layers: In the order of the model.
        model: All layers together.
    """

    epoch: int
    layers: tuple[Layer, ...]
    model: Layer

    def metrics(self) -> dict[str, float | None]:
        """Shares by name, such as `monitor/dense_1/lost_updates`."""
        found = {}
        for layer in (*self.layers, self.model):
            start = f"monitor/{UNSAFE.sub('_', layer.name)}".rstrip("/")
            found.update({f"{start}/{name}": getattr(layer, name) for name in SHARES})
        return found


def observation(epoch: int, steps: Iterable[Observed]) -> Observation:
    """What one or more steps of all variables come to.

    Args:
        epoch: Counted from 1.
        steps: In the order of the model; a variable may come several times.
    """
    sums: dict[str, np.ndarray] = {}
    sizes: dict[str, dict[int, int]] = {}
    for step in steps:
        path = step.variable.path.rpartition("/")[0] or step.variable.name
        sums[path] = sums.get(path, 0) + _counted(step)
        sizes.setdefault(path, {})[id(step.variable)] = step.gradient.size
    names = _names(list(sums))
    weights = {path: sum(each.values()) for path, each in sizes.items()}
    layers = tuple(_layer(names[path], weights[path], sums[path]) for path in sums)
    whole = sum(sums.values(), np.zeros(10))
    return Observation(epoch, layers, _layer("", sum(weights.values()), whole))


def _names(paths: list[str]) -> dict[str, str]:
    """The name of a layer alone, or its whole path where another has that name."""
    last = [path.rpartition("/")[2] for path in paths]
    return {
        path: name if last.count(name) == 1 else path
        for path, name in zip(paths, last, strict=True)
    }


def _counted(step: Observed) -> np.ndarray:
    """The ten sums that the shares are made of."""
    gradient, smallest = step.gradient.astype("float64"), _smallest(step.gradient)
    size = np.abs(gradient)
    with np.errstate(invalid="ignore"):
        known = np.isfinite(step.intended) & np.isfinite(step.applied)
    intended, applied = step.intended[known], step.applied[known]
    meant = intended != 0
    squared, divided = _second_moments(step, size > 0)
    return np.array(
        [
            gradient.size,
            np.sum(gradient == 0),
            np.sum((size > 0) & (size < smallest)),
            np.sum(~np.isfinite(gradient)),
            np.sum(meant),
            np.sum(meant & (applied == 0)),
            squared,
            divided,
            *_descent(applied, intended),
        ],
        dtype="float64",
    )


def _smallest(gradient: np.ndarray) -> float:
    return float(ml_dtypes.finfo(gradient.dtype).smallest_normal)


def _second_moments(step: Observed, has_gradient: np.ndarray) -> tuple[int, int]:
    """Of the weights with a gradient: how many have a moment of 0, and how many."""
    if step.second_moment is None:
        return 0, 0
    moments = step.second_moment.astype("float64")[has_gradient]
    return int(np.sum(moments == 0)), moments.size


def _descent(applied: np.ndarray, intended: np.ndarray) -> tuple[float, float]:
    """Applied . intended and intended . intended."""
    return float(np.vdot(applied, intended)), float(np.vdot(intended, intended))


def _layer(name: str, weights: int, counts: np.ndarray) -> Layer:
    number, zero, tiny, wild, meant, lost, gone, divided, applied, intended = counts
    number = max(number, 1)
    return Layer(
        name=name,
        weights=weights,
        zero_gradients=float(zero / number),
        subnormal_gradients=float(tiny / number),
        overflows=float(wild / number),
        lost_updates=_share(lost, meant),
        zero_second_moments=_share(gone, divided),
        descent_quality=_share(applied, intended),
    )


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
