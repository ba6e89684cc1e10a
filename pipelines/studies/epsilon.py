"""Where do RMSprop and Adam fail in float16, and what mends them?

    keras16 study run epsilon

Keras' default epsilon of 1e-7 against a tuned one, in plain float16 and in keras16's,
whose second moment is kept as its root, and in float32. `keras16 tune-epsilon` finds
the range for a net of yours. The 120 runs took 2.3 hours of a core, half as long with
`--workers 2`; nets end between 96.9 and 98.3 %, but for Adam at 1e-7 in plain float16,
which diverges at its second or third step (docs/results/epsilon.md).
"""

from keras16.study import Arm, Claim, Study

from ._claims import CONTROL, FIRST, FULL
from ._mnist import RECIPE, rows

DEFAULT, TUNED = 1e-7, 1e-4


def _arm(precision: str, epsilon: float) -> Arm:
    fields = {"precision": precision, "epsilon": epsilon}
    return Arm(name=f"{precision}, {epsilon:g}", fields=fields)


ARMS = tuple(_arm(p, e) for p in ("16-plain", "16") for e in (DEFAULT, TUNED))

STUDY = Study(
    name="epsilon",
    title="Epsilon of RMSprop and Adam",
    question="Where do RMSprop and Adam fail in float16, and what mends them?",
    run=RECIPE,
    rows=rows("dnn", "rmsprop", "adam"),
    arms=(*ARMS, FULL, CONTROL),
    seeds=10,
    control=CONTROL.name,
    claims=(
        Claim(
            text="With a tuned epsilon plain float16 is as accurate as float32.",
            source=FIRST,
            kind="equivalent",
            arm="16-plain, 0.0001",
            published="epsilon must be tuned",
        ),
        Claim(
            text="With a tuned epsilon plain float16 does not diverge.",
            source=FIRST,
            kind="stable",
            arm="16-plain, 0.0001",
        ),
        Claim(
            text="keras16's float16 is as accurate with the default epsilon.",
            source="keras16",
            kind="equivalent",
            arm="16, 1e-07",
        ),
        Claim(
            text="keras16's float16 does not diverge with the default epsilon.",
            source="keras16",
            kind="stable",
            arm="16, 1e-07",
        ),
    ),
)
