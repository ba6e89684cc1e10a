"""Do convolutional nets on MNIST train as well in pure float16?

    keras16 study run mnist_cnn

The second claim of arXiv 2301.12809: as the study mnist_dnn, with a net of three
convolutions, batch normalization and pooling. All 150 runs took 12 hours of
run time, 6.5 by the clock with `--workers 2`, on two busy cores without float16
arithmetic; nets end between 98.4 and 99.3 % (docs/results/mnist_cnn.md).
"""

from keras16.study import Study

from ._claims import CLAIMS, CONTROL, FULL, MIXED, PLAIN, PURE
from ._mnist import RECIPE, rows

STUDY = Study(
    name="mnist_cnn",
    title="Convolutional nets on MNIST",
    question=(
        "Does a convolutional net on MNIST train as well in pure float16 as in float32?"
    ),
    run=RECIPE,
    rows=rows("cnn", "sgd", "rmsprop", "adam"),
    arms=(PLAIN, PURE, FULL, MIXED, CONTROL),
    seeds=10,
    control=CONTROL.name,
    claims=CLAIMS,
)
