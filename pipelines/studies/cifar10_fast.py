"""Does parity hold at 94 %, in a training that is made for speed?

    keras16 study run cifar10_fast

The fastest trainings of CIFAR-10 to 94 % are of float16 with float32 batch
normalization (Page, How to train your ResNet, 2018 to 2019; Jordan, arXiv 2404.00498;
2.59 s on an A100 is the record). This one is float16 throughout, and of ordinary parts:
the net `airbench`, SGD with Nesterov momentum, a learning rate that rises and falls in
straight lines, flips and shifts of up to 2 pixels, label smoothing.

A run of 10 epochs takes 3.5e14 FLOP, half of them in the second group of convolutions,
and its test another 1.4e13, since the net answers by six views of an image.
On two cores of a Xeon with AMX-BF16 an epoch took three minutes at 32 and four to five
at 16 and 16-plain, but other work shared the machine, most of all at 16: these times
don't compare. Six epochs with one seed came to 91.3 % at 16, 91.7 at 16-plain and 91.3
at 32 (docs/results/cifar10_fast.md); ten epochs, and 94 %, were not tried yet, nor a
GPU.
"""

from keras16.study import Claim, Row, Run, Study

from ._claims import FULL, KAHAN, PLAIN, PURE, SECOND

HALF = (PLAIN, PURE, KAHAN)

STUDY = Study(
    name="cifar10_fast",
    title="CIFAR-10 to 94 % as fast as it goes",
    question=(
        "Is pure float16 as accurate as float32 at 94 % on CIFAR-10, in a training "
        "made for speed, and how long does it take?"
    ),
    run=Run(
        model="airbench",
        dataset="cifar10",
        optimizer="sgd",
        learning_rate=0.5,
        momentum=0.85,
        nesterov=True,
        weight_decay=9e-3,
        schedule="triangular",
        augmentation="flip_shift2",
        label_smoothing=0.2,
        epochs=10,
        batch_size=250,
        validation=0.0,
    ),
    rows=(Row(name="airbench", fields={}),),
    arms=(*HALF, FULL),
    seeds=3,
    claims=(
        *(
            Claim(
                text=f"At 94 %, {arm.name} is as accurate as float32.",
                source=SECOND,
                kind="equivalent",
                arm=arm.name,
                published="asserted in general; untested at 94 %",
                least=0.94,
            )
            for arm in HALF
        ),
        Claim(
            text="keras16's float16 needs less time than float32.",
            source=SECOND,
            kind="faster",
            arm=PURE.name,
            bound=1.3,
            published="1.3 to 2.2 times as fast",
        ),
    ),
)
