"""Does pure float16 need float32 inside batch normalization?

    keras16 study run batch_norm

The papers' released models have stock batch normalization, whose weights, statistics
and arithmetic Keras keeps in float32. Three ways in a net that is float16 for the rest:
that one, plain float16, and keras16's. All 100 runs took two hours on 2 cores with
AVX-512, beside other work; nets end between 98.4 and 99.2 %
(docs/results/batch_norm.md).
"""

from keras16.study import Arm, Claim, Study

from ._claims import CONTROL, FIRST, FULL
from ._mnist import RECIPE, rows

ARMS = tuple(
    Arm(name=name, fields={"precision": "16", "batch_norm": batch_norm})
    for name, batch_norm in (
        ("16, float32 inside", "stock"),
        ("16, plain", "plain"),
        ("16, keras16's", "keras16"),
    )
)

STUDY = Study(
    name="batch_norm",
    title="Batch normalization in float16",
    question="Does pure float16 need float32 inside batch normalization?",
    run=RECIPE,
    rows=rows("cnn", "sgd", "adam"),
    arms=(*ARMS, FULL, CONTROL),
    seeds=10,
    control=CONTROL.name,
    claims=(
        Claim(
            text="With plain float16 batch normalization, float16 is as accurate as "
            "float32.",
            source=FIRST,
            kind="equivalent",
            arm="16, plain",
        ),
        Claim(
            text="With keras16's batch normalization, float16 is as accurate as "
            "float32.",
            source="keras16",
            kind="equivalent",
            arm="16, keras16's",
        ),
        Claim(
            text="With float32 inside batch normalization, float16 is as accurate as "
            "float32.",
            source=FIRST,
            kind="equivalent",
            arm="16, float32 inside",
        ),
    ),
)
