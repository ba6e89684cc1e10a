"""Do dense nets on MNIST train as well in pure float16, whatever the optimizer?

    keras16 study run mnist_dnn

The first claim of arXiv 2301.12809: a dense net, trained with SGD, RMSprop and Adam in
plain float16, in keras16's, in float32 and in mixed precision, ten paired seeds each,
and float32 once more with other seeds. The paper tells no recipe for MNIST; this one is
ours: batches of 128, five epochs, a constant learning rate, 5,000 of the 60,000 digits
held out. It took about two hours with `--workers 2` on two busy cores; all nets end
between 96.9 and 98.3 % (docs/results/mnist_dnn.md).
"""

from keras16.study import Study

from ._claims import CLAIMS, CONTROL, FULL, MIXED, PLAIN, PURE
from ._mnist import RECIPE, rows

STUDY = Study(
    name="mnist_dnn",
    title="Dense nets on MNIST",
    question="Does a dense net on MNIST train as well in pure float16 as in float32?",
    run=RECIPE,
    rows=rows("dnn", "sgd", "rmsprop", "adam"),
    arms=(PLAIN, PURE, FULL, MIXED, CONTROL),
    seeds=10,
    control=CONTROL.name,
    claims=CLAIMS,
)
