"""Does parity hold at 90 % and above, and as the step shrinks to 0?

    keras16 study run cifar10_strong

The papers' baselines reach 69 to 84 %. This is an ordinary strong recipe: flips and
shifts, label smoothing, SGD with Nesterov momentum and weight decay, cosine decay to 0.
What 16 bits make of ever smaller updates is told by the ways of rounding. There are 60
runs of 100 epochs: an epoch of resnet20 takes 75 to 115 s of a core with AVX-512 and
without float16 arithmetic. 90 % and above is what to expect of the whole; 30 epochs end
between 87.5 and 88.5 (docs/results/cifar10_strong.md).
"""

from keras16.study import Arm, Claim, Row, Run, Study

from ._claims import FULL, KAHAN, MIXED, PLAIN, PURE, SECOND

STOCHASTIC = Arm(
    name="16, stochastic", fields={"precision": "16", "rounding": "stochastic"}
)
HALF = (PLAIN, PURE, KAHAN, STOCHASTIC)

STUDY = Study(
    name="cifar10_strong",
    title="CIFAR-10 by a strong recipe",
    question=(
        "Is pure float16 as accurate as float32 where both are above 90 % and the "
        "learning rate decays to 0, and which rounding does it need?"
    ),
    run=Run(
        dataset="cifar10",
        optimizer="sgd",
        learning_rate=0.1,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4,
        schedule="cosine",
        augmentation="flip_shift",
        label_smoothing=0.1,
        epochs=100,
        batch_size=128,
        validation=0.1,
    ),
    rows=tuple(
        Row(name=model, fields={"model": model}) for model in ("resnet20", "resnet56")
    ),
    arms=(*HALF, FULL, MIXED),
    seeds=5,
    claims=tuple(
        Claim(
            text=f"At 90 % and above, {arm.name} is as accurate as float32.",
            source=SECOND,
            kind="equivalent",
            arm=arm.name,
            published="asserted in general; untested at 90 % and above",
            least=0.9,
        )
        for arm in HALF
    ),
)
