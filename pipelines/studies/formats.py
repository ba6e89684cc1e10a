"""Which 16-bit format trains as well as float32?

    keras16 study run formats

float16 and bfloat16, pure and mixed, against float32, on MNIST. TF32 exists on GPUs
from Ampere on alone and is no arm of this study. All 140 runs took 52 minutes of two
cores with AVX-512, two side by side; dense nets end between 96.7 and 98.1 %,
convolutional ones between 98.4 and 99.2 (docs/results/formats.md).
"""

from keras16.study import Arm, Claim, Study

from ._claims import CONTROL, FULL, MIXED, PLAIN, PURE
from ._mnist import RECIPE, rows

OTHERS = tuple(Arm(name=p, fields={"precision": p}) for p in ("bf16", "mixed_bf16"))

STUDY = Study(
    name="formats",
    title="16-bit formats",
    question="Which 16-bit format trains as well as float32?",
    run=RECIPE,
    rows=(*rows("dnn", "adam"), *rows("cnn", "adam")),
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
