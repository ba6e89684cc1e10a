"""What a run in MLflow is about where nothing is trained."""

from __future__ import annotations

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is recorded: its fields become the parameters.

    Attributes:
        model: The names of the nets.
        precision: Theirs.
        dataset: Whose test examples were answered.
        examples: How many.
        optimizer: Nothing is trained.
    """

    model: str
    precision: str
    dataset: str
    examples: int
    optimizer: str = ""

    @property
    def name(self) -> str:
        """Such as "tolerance-cnn-mnist5k-16-adam-s0"."""
        return f"tolerance-{self.model.replace(' ', '-')}"

    def fields(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self)
