"""Do convolutional nets on MNIST train as well in pure float16?

    keras16 study run mnist_cnn

The second claim of arXiv 2301.12809: as the study mnist_dnn, with a net of three
convolutions, batch normalization and pooling.
"""

from keras16.study import Row, Run, Study

from ._claims import CLAIMS, CONTROL, FULL, MIXED, PLAIN, PURE

OPTIMIZERS = ("sgd", "rmsprop", "adam")

STUDY = Study(
    name="mnist_cnn",
    title="Convolutional nets on MNIST",
    question=(
        "Does a convolutional net on MNIST train as well in pure float16 as in float32?"
    ),
    run=Run(
        model="cnn",
        dataset="mnist",
        schedule="constant",
        epochs=5,
        batch_size=128,
        validation=1 / 12,
    ),
    rows=tuple(
        Row(name=f"cnn, {name}", fields={"optimizer": name}) for name in OPTIMIZERS
    ),
    arms=(PLAIN, PURE, FULL, MIXED, CONTROL),
    seeds=10,
    control=CONTROL.name,
    claims=CLAIMS,
)
