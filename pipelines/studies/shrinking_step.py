"""Is float16 as accurate as float32 where the step shrinks to 0 within two epochs?

    keras16 study run shrinking_step --workers 2

`resnet20` on CIFAR-10 with Adam, whose learning rate falls from 1e-3 to 0 by a cosine:
an update below half the last place of its weight rounds to nothing, and Kahan's sums
keep it. Two runs of one seed disagree on some 1,200 of the 10,000 test images, which
alone lets a difference vary by a third of a point: hence ten seeds. 40 runs of 75 to
100 s an epoch and core, with AVX-512 and without float16 arithmetic: an hour, if
nothing else runs. float32 ends between 62 and 65 % (docs/results/shrinking_step.md).

Three seeds of `epoch_time` raised the question, and are seeds 0 to 2 of `16` and `32`
here, to the bit: the others alone are fresh. That Kahan's sums beat nearest rounding
was claimed after six seeds.
"""

from keras16.study import Claim, Row, Run, Study

from ._claims import CONTROL, FULL, KAHAN, PURE, SECOND

STUDY = Study(
    name="shrinking_step",
    title="A step that shrinks to 0",
    question=(
        "Is pure float16 as accurate as float32 where the step shrinks to 0 within two "
        "epochs, and do Kahan's sums keep what rounding loses?"
    ),
    run=Run(
        dataset="cifar10",
        model="resnet20",
        optimizer="adam",
        epochs=2,
        batch_size=128,
    ),
    rows=(Row(name="resnet20", fields={}),),
    arms=(PURE, KAHAN, FULL, CONTROL),
    seeds=10,
    control=CONTROL.name,
    claims=(
        *(
            Claim(
                text=f"Where the step shrinks to 0, {arm.name} is as accurate as "
                "float32.",
                source=f"{SECOND}; seeds 0 to 2 raised the question",
                kind="equivalent",
                arm=arm.name,
                published="asserted in general",
            )
            for arm in (PURE, KAHAN)
        ),
        Claim(
            text="Where the step shrinks to 0, 16, Kahan is more accurate than 16.",
            source="keras16; claimed after six seeds",
            kind="superior",
            arm=KAHAN.name,
            against=PURE.name,
        ),
    ),
)
