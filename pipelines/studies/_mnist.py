"""The recipe that studies on MNIST share; the papers tell none."""

from keras16.study import Row, Run

RECIPE = Run(
    dataset="mnist",
    schedule="constant",
    epochs=5,
    batch_size=128,
    validation=1 / 12,
)


def rows(model: str, *optimizers: str) -> tuple[Row, ...]:
    """A row for each optimizer of a net."""
    return tuple(
        Row(name=f"{model}-{name}", fields={"model": model, "optimizer": name})
        for name in optimizers
    )
