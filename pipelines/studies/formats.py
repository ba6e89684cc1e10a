"""Which 16-bit format trains as well as float32?

    keras16 study run formats

float16 and bfloat16, pure and mixed, against float32, on MNIST. TF32 exists on GPUs
from Ampere on alone and is no arm of this study.
"""

from keras16.study import Arm, Claim, Row, Run, Study

from ._claims import CONTROL, FULL, MIXED, PLAIN, PURE

OTHERS = tuple(Arm(name=p, fields={"precision": p}) for p in ("bf16", "mixed_bf16"))

STUDY = Study(
    name="formats",
    title="16-bit formats",
    question="Which 16-bit format trains as well as float32?",
    run=Run(
        dataset="mnist",
        optimizer="adam",
        schedule="constant",
        epochs=5,
        batch_size=128,
        validation=1 / 12,
    ),
    rows=tuple(Row(name=model, fields={"model": model}) for model in ("dnn", "cnn")),
    arms=(PLAIN, PURE, *OTHERS, MIXED, FULL, CONTROL),
    seeds=10,
    control=CONTROL.name,
    claims=tuple(
        Claim(
            text=f"{arm.name} is as accurate as float32.",
            source="keras16",
            kind="equivalent",
            arm=arm.name,
        )
        for arm in (PLAIN, PURE, *OTHERS, MIXED)
    ),
)
