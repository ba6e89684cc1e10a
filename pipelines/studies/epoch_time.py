"""Are epochs shorter in pure float16, on this very machine?

    keras16 study run epoch_time

The papers' claim of time (arXiv 2305.10947: 1.3 to 2.2 times as fast), where a run has
the machine to itself, which the studies of accuracy don't give it: nothing else should
run beside this one. A few epochs, of which the first is left out; accuracy is no
question here. With `--seeds 3` it took 14 minutes on 2 cores with AVX-512 and without
float16 arithmetic, `resnet20` 40 s an epoch at 16 (docs/results/epoch_time.md).
"""

from keras16.study import Row, Run, Study

from ._claims import FULL, PURE, of

STUDY = Study(
    name="epoch_time",
    title="Time of an epoch",
    question="Are epochs shorter in pure float16 than in float32, on this machine?",
    run=Run(dataset="mnist", epochs=3, optimizer="adam", batch_size=128),
    rows=(
        Row(name="dnn, MNIST", fields={"model": "dnn"}),
        Row(name="cnn, MNIST", fields={"model": "cnn"}),
        Row(
            name="resnet20, CIFAR-10",
            fields={"model": "resnet20", "dataset": "cifar10", "epochs": 2},
        ),
    ),
    arms=(PURE, FULL),
    seeds=5,
    claims=tuple(
        claim
        for claim in of(PURE.name, "keras16's float16", ", asked of keras16")
        if claim.kind in ("faster", "smaller", "stable")
    ),
)
