"""What a run is: a frozen dataclass of plain values, and nothing that trains."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One training run. The options of `keras16 train` are exactly these fields.

    Attributes:
        precision: A name in `keras16.precision.TABLE` ("16", "32", "mixed", ...).
        model: A file of keras16/models (with a depth: "resnet20"),
            `FILE.py:function` or `FILE.keras`.
        dataset: A file of keras16/datasets, `FILE.npz`, `FILE.py:function` or a
            folder with one sub-folder of images per class.
        optimizer: A file of keras16/optimizers.
        learning_rate: None takes the optimizer's default.
        momentum: SGD and RMSprop only. None takes the optimizer's default.
        nesterov: SGD only.
        epsilon: Not of SGD and Lion. None takes the optimizer's default.
        weight_decay: Decoupled, as Keras defines it; 0 takes the optimizer's own:
            0.004 for AdamW, none for the others.
        rounding: "nearest", "kahan" or "stochastic": of an updated 16-bit weight.
        schedule: A file of keras16/schedules, such as "constant" or "cosine" (decay
            to 0 over the whole run).
        augmentation: "none", "flip", "shift" or "flip_shift".
        epochs: Passes over the training set.
        batch_size: Examples a step.
        validation: Share of the training set held out for validation, in [0, 1).
        seed: Draws the initial weights, the held-out part, the order of the
            data and the augmentation: the same ones at every precision.
    """

    precision: str = "16"
    model: str = "cnn"
    dataset: str = "mnist5k"
    optimizer: str = "adam"
    learning_rate: float | None = None
    momentum: float | None = None
    nesterov: bool = False
    epsilon: float | None = None
    weight_decay: float = 0.0
    rounding: str = "nearest"
    schedule: str = "cosine"
    augmentation: str = "none"
    epochs: int = 8
    batch_size: int = 64
    validation: float = 0.1
    seed: int = 0

    @property
    def name(self) -> str:
        """A name that a person can read, such as `cnn-mnist5k-16-adam-s0`."""
        return "-".join(
            (
                short_name(self.model),
                short_name(self.dataset),
                self.precision,
                self.optimizer,
                f"s{self.seed}",
            )
        )

    def fields(self) -> dict[str, Any]:
        """The run as plain values, in the order of the fields."""
        return dataclasses.asdict(self)


def short_name(part: str) -> str:
    """`nets/wide.py:build` -> `wide.build`, `digits.npz` -> `digits`.

    `applications.VGG16` is `VGG16`.
    """
    path, _, function = part.removeprefix("applications.").partition(":")
    stem = pathlib.PurePath(path).stem
    return re.sub(r"[^\w.]+", "_", f"{stem}.{function}" if function else stem)
