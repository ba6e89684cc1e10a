"""What is wrong with the numerics of a training, in words, and what would mend it.

A finding is made of the mean over the epochs, since an epoch that ends at a learning
rate of 0 may lose all its updates and none of what it learnt. The thresholds:

- overflows: any at all.
- lost updates: 10 %, unless rounding is by chance, where they are right on average.
- descent quality: below 0.9 or above 1.1 where no lost updates were told of.
- zero second moments: 1 %. Each of these weights has a gradient.
- zero gradients: 30 %. From 1 % of subnormal ones on, underflow is to blame.
- subnormal gradients: 10 % where no zero ones were told of.
"""

from __future__ import annotations

from collections.abc import Sequence

from keras16.callbacks._counts import SHARES, Observation

LOST_UPDATES = 0.10
DESCENT_QUALITY = 0.10  # away from 1
ZERO_SECOND_MOMENTS = 0.01
ZERO_GRADIENTS = 0.30
UNDERFLOW = 0.01
SUBNORMAL_GRADIENTS = 0.10

_RAISE = "use a smaller batch (a gradient holds 1 / batch size) or --precision bf16"
# The mean of each share by its name, of each layer by its name.
Means = dict[str, dict[str, float]]


def findings(observations: Sequence[Observation], rounding: str | None) -> list[str]:
    """One line for each thing that is wrong, with the layer that it is worst in.

    Args:
        observations: Of the epochs.
        rounding: Of the optimizer: "nearest", "kahan" or "stochastic"; None of one
            that is not keras16's.
    """
    if not observations:
        return []
    names = [layer.name for layer in observations[-1].layers]
    means = {name: _mean(name, observations) for name in names}
    found = [
        _overflows(means),
        *_updates(means, rounding),
        _second_moments(means, rounding),
        *_gradients(means),
    ]
    return [line for line in found if line]


def _mean(name: str, observations: Sequence[Observation]) -> dict[str, float]:
    """The mean of each share of a layer over the epochs where it has one."""
    same = [x for one in observations for x in one.layers if x.name == name]
    known = {
        share: [y for x in same if (y := getattr(x, share)) is not None]
        for share in SHARES
    }
    return {share: sum(v) / len(v) for share, v in known.items() if v}


def _worst(means: Means, share: str, limit: float) -> tuple[float, str, str] | None:
    """The largest mean from a limit on: itself, its layer, and in how many others."""
    above = {name: x[share] for name, x in means.items() if x.get(share, 0) >= limit}
    if not above:
        return None
    name = max(above, key=lambda each: above[each])
    others = len(above) - 1
    layers = "layer" if others == 1 else "layers"
    also = f" (and in {others} other {layers})" if others else ""
    return above[name], name, also


def _overflows(means: Means) -> str:
    worst = _worst(means, "overflows", 1e-12)
    if worst is None:
        return ""
    share, name, also = worst
    return (
        f"{_percent(share)} of the gradients of {name} are infinite or NaN{also}: "
        "use a smaller learning rate, or --precision bf16, whose range is float32's."
    )


def _updates(means: Means, rounding: str | None) -> list[str]:
    if rounding == "stochastic":
        return []
    worst = _worst(means, "lost_updates", LOST_UPDATES)
    if worst is None:
        return [_quality(means, rounding)]
    share, name, also = worst
    return [
        f"{_percent(share)} of the updates of {name} are lost to rounding{also}: "
        f"{_rounded_better(rounding)}a larger learning rate."
    ]


def _rounded_better(rounding: str | None) -> str:
    if rounding == "kahan":
        return "use "
    if rounding is None:
        return "use keras16's optimizer of that name with --rounding kahan, or "
    return 'use --rounding kahan (in a script: rounding="kahan"), or '


def _quality(means: Means, rounding: str | None) -> str:
    away = {n: {"away": abs(x.get("descent_quality", 1) - 1)} for n, x in means.items()}
    worst = _worst(away, "away", DESCENT_QUALITY)
    if worst is None:
        return ""
    _, name, also = worst
    return (
        f"The updates of {name} come to {_percent(means[name]['descent_quality'])} of "
        f"what was meant{also}: {_rounded_better(rounding)}a larger learning rate."
    )


def _second_moments(means: Means, rounding: str | None) -> str:
    worst = _worst(means, "zero_second_moments", ZERO_SECOND_MOMENTS)
    if worst is None:
        return ""
    share, name, also = worst
    mend = (
        "use a larger epsilon, or keras16's optimizer of that name (--precision 16), "
        "which keeps the root"
        if rounding is None
        else _RAISE
    )
    return (
        f"{_percent(share)} of the second moments of {name} are 0 though the gradient "
        f"is not{also}: {mend}."
    )


def _gradients(means: Means) -> list[str]:
    worst = _worst(means, "zero_gradients", ZERO_GRADIENTS)
    if worst is None:
        return [_subnormal(means)]
    share, name, also = worst
    start = f"{_percent(share)} of the gradients of {name} are 0{also}"
    tiny = means[name]["subnormal_gradients"]
    if tiny >= UNDERFLOW:
        return [f"{start} and {_percent(tiny)} subnormal: {_RAISE}."]
    return [
        f"{start}, hardly any subnormal: not rounding, but inputs or units that are 0 "
        "for the whole batch are the likely cause; use other initial weights or a "
        "smaller learning rate where units have died."
    ]


def _subnormal(means: Means) -> str:
    worst = _worst(means, "subnormal_gradients", SUBNORMAL_GRADIENTS)
    if worst is None:
        return ""
    share, name, also = worst
    return (
        f"{_percent(share)} of the gradients of {name} are subnormal and have lost "
        f"digits{also}: {_RAISE}."
    )


def _percent(share: float) -> str:
    """Such as "41 %", "0.3 %" or "below 0.1 %"."""
    percent = 100 * share
    if percent < 0.1:
        return "below 0.1 %"
    return f"{percent:.0f} %" if percent >= 2 else f"{percent:.1f} %"
