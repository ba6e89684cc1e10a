"""Who runs in a benchmark, and on what: plain values."""

from __future__ import annotations

import dataclasses
import pathlib

from keras16.errors import UserError
from keras16.study import Run, short_name


@dataclasses.dataclass(frozen=True)
class Contender:
    """One way to train the same net.

    Attributes:
        name: On the command line and in the table.
        kind: "keras16", "keras" (stock) or "torch": the file that runs it.
        setting: keras16's precision, Keras' dtype policy or PyTorch's mode.
        meaning: One line for the help page and the documentation.
        remapper: Whether TensorFlow's remapper is left on, as it is by default.
        channels_last: Of PyTorch: whether images lie in memory as Keras has them.
        ceiling: The dtype whose GEMM rate is its ceiling.
        rounding: Of keras16's: how updated weights are rounded.
        if_asked: Whether it runs only where it is named.
    """

    name: str
    kind: str
    setting: str
    meaning: str
    remapper: bool = True
    channels_last: bool = False
    ceiling: str = "float16"
    rounding: str = "nearest"
    if_asked: bool = False


REFERENCE = "keras16-16"
CONTENDERS = {
    one.name: one
    for one in (
        Contender("keras16-16", "keras16", "16", "keras16 train --precision 16"),
        Contender(
            "keras16-32",
            "keras16",
            "32",
            "keras16 train --precision 32",
            ceiling="float32",
        ),
        Contender(
            "bf16-keras16",
            "keras16",
            "bf16",
            "keras16 train --precision bf16",
            ceiling="bfloat16",
            if_asked=True,
        ),
        *(
            Contender(
                f"rounding-{name}",
                "keras16",
                "16",
                f"the same at 16, --rounding {name}",
                rounding=name,
                if_asked=True,
            )
            for name in ("kahan", "stochastic")
        ),
        Contender("keras-32", "keras", "float32", "Keras' own fit", ceiling="float32"),
        Contender("keras-mixed", "keras", "mixed_float16", "the same, mixed_float16"),
        Contender(
            "keras-mixed-noremap",
            "keras",
            "mixed_float16",
            "the same, TensorFlow's remapper off",
            remapper=False,
        ),
        Contender("keras-16", "keras", "float16", "Keras' own fit, floatx float16"),
        Contender(
            "keras-16-noremap",
            "keras",
            "float16",
            "the same, TensorFlow's remapper off",
            remapper=False,
        ),
        Contender(
            "bf16-keras",
            "keras",
            "bfloat16",
            "Keras' own fit, floatx bfloat16",
            ceiling="bfloat16",
            if_asked=True,
        ),
        Contender(
            "bf16-mixed",
            "keras",
            "mixed_bfloat16",
            "Keras' own fit, mixed_bfloat16",
            ceiling="bfloat16",
            if_asked=True,
        ),
        Contender("torch-32", "torch", "float32", "PyTorch", ceiling="float32"),
        Contender(
            "torch-bf16",
            "torch",
            "bf16",
            "PyTorch, autocast to bfloat16",
            ceiling="bfloat16",
        ),
        Contender("torch-fp16", "torch", "fp16", "PyTorch, autocast to float16"),
        Contender("torch-half", "torch", "half", "PyTorch, all in float16"),
        Contender(
            "torch-32-last",
            "torch",
            "float32",
            "PyTorch, channels_last",
            channels_last=True,
            ceiling="float32",
        ),
        Contender(
            "torch-bf16-last",
            "torch",
            "bf16",
            "PyTorch, autocast to bfloat16, channels_last",
            channels_last=True,
            ceiling="bfloat16",
        ),
        Contender(
            "torch-fp16-last",
            "torch",
            "fp16",
            "PyTorch, autocast to float16, channels_last",
            channels_last=True,
        ),
        Contender(
            "torch-half-last",
            "torch",
            "half",
            "PyTorch, all in float16, channels_last",
            channels_last=True,
        ),
    )
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One net at one batch size: what all contenders run.

    Attributes:
        run: Precision aside, what is trained; its data set may be a file of pixels
            that was made for the benchmark.
        folder: Holds what `architecture.write` wrote of the net.
    """

    run: Run
    folder: pathlib.Path

    @property
    def title(self) -> str:
        """Such as "resnet20, batch 128"."""
        return title(self.run)


def title(run: Run) -> str:
    """A net at a batch size, such as "resnet20, batch 128"."""
    return f"{short_name(run.model)}, batch {run.batch_size}"


def chosen(names: str | None) -> tuple[Contender, ...]:
    """The contenders of a list with commas, the reference first.

    A name's beginning stands for all that begin so: "torch" is all of PyTorch.

    Args:
        names: None for every one but those that want to be named.

    Raises:
        UserError: A name that begins no contender's.
    """
    wanted = [name.strip() for name in (names or "").split(",") if name.strip()]
    for name in wanted:
        if not any(known.startswith(name) for known in CONTENDERS):
            raise UserError(
                f"no contender {name!r}: there are {', '.join(CONTENDERS)}."
            )
    return tuple(
        contender
        for contender in CONTENDERS.values()
        if contender.name == REFERENCE
        or _named(contender.name, wanted)
        or not (wanted or contender.if_asked)
    )


def _named(name: str, wanted: list[str]) -> bool:
    """A whole name means itself alone, though others may begin with it."""
    whole = [one for one in wanted if one in CONTENDERS]
    begun = [one for one in wanted if one not in CONTENDERS]
    return name in whole or any(name.startswith(one) for one in begun)
