"""The nets of arXiv 2305.10947's CIFAR-10 table, their sizes beside the printed ones.

`python -m keras16.architectures` builds them and prints the table of
docs/architectures.md, which is tested to be up to date.
"""

from __future__ import annotations

from typing import NamedTuple

INPUT_SHAPE = (32, 32, 3)
CLASSES = 10
BOUND = 0.02  # a larger deviation has an explanation in its row


class Row(NamedTuple):
    """One net of the paper's table.

    Attributes:
        name: In our catalogue.
        published: Parameters that the paper prints, in millions.
        note: Where the net or the number comes from; "" where there is nothing to say.
        slip: Why the printed number can't be that of the net; "" where it can.
    """

    name: str
    published: float
    note: str
    slip: str = ""


_OUT_OF_REACH = "what the paper counted beside these layers is not known"
_TEN_TIMES = (
    "the released net has 20,972,394, whose tenth, cut off, is 2.09: the point is one "
    "place off"
)
_BEHIND_LOGITS = (
    "1,740,106 of the released net and 45,056 of a layer of 4,096 units that it puts "
    "behind its ten logits; the two rows above don't count that layer"
)
ROWS = (
    Row("alexnet", 2.09, "as released", _TEN_TIMES),
    Row("vgg16", 33.76, f"as released, 33.64 cut off; {_OUT_OF_REACH}"),
    Row("vgg19", 38.36, f"as released, 38.95 cut off; {_OUT_OF_REACH}"),
    Row("resnet32", 0.47, "He et al., arXiv 1512.03385"),
    Row("resnet56", 0.86, "the same"),
    Row("resnet110", 1.78, "the same", _BEHIND_LOGITS),
    Row("densenet121", 7.04, "Keras' own; the published number is cut off"),
    Row("densenet169", 12.65, "the same"),
    Row("xception", 22.96, "as released: Keras' own at 32 x 32, 1,024 units on top"),
    Row("mobilenetv2", 2.27, "Keras' own; the released script's has 3.2 million"),
    Row("vit8", 2.02, "as released but for a head of 512 and 256, not 512 and 512"),
    Row("vit12", 2.55, "the same"),
)


def parameters(name: str) -> int:
    """How many numbers a net holds for CIFAR-10, batch-norm statistics included.

    Args:
        name: In the catalogue, such as "vgg16".
    """
    from keras16 import catalog

    model = catalog.load("models", name)(INPUT_SHAPE, CLASSES)
    return model.count_params()


def deviation(count: int, row: Row) -> float:
    """How far a count is from the published one, as a share of it."""
    return count / (row.published * 1e6) - 1


def markdown() -> str:
    """The table in Markdown; builds all nets, which takes some seconds."""
    lines = [_line(row, parameters(row.name)) for row in ROWS]
    return "\n".join((_HEAD, *lines)) + "\n"


_HEAD = """\
| model | parameters | published, millions | deviation | where from |
| --- | ---: | ---: | ---: | --- |"""


def _line(row: Row, count: int) -> str:
    note = f"{row.note}. **Not comparable**: {row.slip}" if row.slip else row.note
    return (
        f"| `{row.name}` | {count:,} | {row.published:.2f} "
        f"| {deviation(count, row):+.1%} | {note} |"
    )


if __name__ == "__main__":
    print(markdown(), end="")
