"""Does the table of the papers hold, architecture by architecture?

    keras16 study run cifar10_table

Twelve nets on CIFAR-10 by the recipe of arXiv 2305.10947: SGD with a constant learning
rate of 0.01, momentum 0.9 (none for the vision transformers), batches of 256, 100
epochs, no augmentation, test accuracy after the last epoch; 69 to 84 % are published.
Days on a CPU: name a few nets with `--models`, and fewer `--seeds` and `--epochs`. Four
epochs of alexnet, of 80 to 130 seconds where two runs go on side by side on two cores
with AVX-512, end between 61.5 and 64.6 % (docs/results/cifar10_table.md); of resnet32,
of 150 to 260 s, between 58 and 64.
`mobilenetv2` needs dozens: it keeps 0.999 of its moving statistics at a step, and after
four epochs was still at 10 % of the test images, with 55 % of the training ones.
"""

from keras16.study import Published, Row, Run, Study

from ._claims import CLAIMS, FULL, MIXED, PLAIN, PURE

# Name: accuracy and its deviation in percent, seconds of 100 epochs; at 16, 32, mixed.
# The papers' FP16 is what is called 16-plain here.
TABLE = {
    "alexnet": ((76.0, 0.3, 96), (75.8, 0.3, 174), (75.9, 0.3, 150)),
    "vgg16": ((83.7, 0.3, 377), (83.9, 0.2, 857), (83.8, 0.2, 455)),
    "vgg19": ((83.8, 0.2, 416), (83.9, 0.3, 937), (83.9, 0.2, 492)),
    "resnet32": ((80.9, 0.3, 413), (80.9, 0.4, 551), (80.9, 0.3, 483)),
    "resnet56": ((81.6, 0.4, 677), (81.4, 0.6, 905), (81.5, 0.6, 795)),
    "resnet110": ((81.8, 0.4, 1256), (81.4, 0.5, 1712), (81.8, 0.5, 1486)),
    "densenet121": ((72.1, 0.3, 539), (72.6, 0.4, 720), (73.0, 0.3, 641)),
    "densenet169": ((71.7, 0.5, 724), (72.3, 0.3, 966), (72.1, 0.3, 812)),
    "xception": ((75.9, 0.4, 324), (76.3, 0.3, 611), (76.3, 0.4, 412)),
    "mobilenetv2": ((69.4, 1.1, 353), (70.0, 1.2, 588), (70.0, 1.1, 411)),
    "vit8": ((71.0, 0.3, 316), (71.3, 0.3, 423), (71.2, 0.3, 410)),
    "vit12": ((71.1, 0.3, 425), (71.4, 0.3, 663), (71.5, 0.3, 629)),
}


def _row(model: str) -> Row:
    plain, full, mixed = (
        Published(accuracy=mean / 100, deviation=deviation / 100, seconds=seconds)
        for mean, deviation, seconds in TABLE[model]
    )
    momentum = 0.0 if model.startswith("vit") else 0.9
    return Row(
        name=model,
        fields={"model": model, "momentum": momentum},
        published={"16-plain": plain, "32": full, "mixed": mixed},
    )


STUDY = Study(
    name="cifar10_table",
    title="The papers' table on CIFAR-10",
    question=(
        "Do twelve nets on CIFAR-10 train as well in pure float16 as in float32 and in "
        "mixed precision, and in less time?"
    ),
    run=Run(
        dataset="cifar10",
        optimizer="sgd",
        learning_rate=0.01,
        schedule="constant",
        epochs=100,
        batch_size=256,
        validation=0.0,
    ),
    rows=tuple(_row(model) for model in TABLE),
    arms=(PLAIN, PURE, FULL, MIXED),
    seeds=5,
    claims=CLAIMS,
)
