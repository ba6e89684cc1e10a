"""Do dense nets on MNIST train as well in pure float16, whatever the optimizer?

    keras16 study run mnist_dnn

The first claim of arXiv 2301.12809: a dense net, trained with SGD, RMSprop and Adam in
plain float16, in keras16's, in float32 and in mixed precision, ten paired seeds each,
and float32 once more with other seeds. The paper tells no recipe for MNIST; this one is
ours: batches of 128, five epochs, a constant learning rate, 5,000 of the 60,000 digits
held out.
"""

from keras16.study import Row, Run, Study

from ._claims import CLAIMS, CONTROL, FULL, MIXED, PLAIN, PURE

OPTIMIZERS = ("sgd", "rmsprop", "adam")

STUDY = Study(
    name="mnist_dnn",
    title="Dense nets on MNIST",
    question="Does a dense net on MNIST train as well in pure float16 as in float32?",
    run=Run(
        model="dnn",
        dataset="mnist",
        schedule="constant",
        epochs=5,
        batch_size=128,
        validation=1 / 12,
    ),
    rows=tuple(
        Row(name=f"dnn, {name}", fields={"optimizer": name}) for name in OPTIMIZERS
    ),
    arms=(PLAIN, PURE, FULL, MIXED, CONTROL),
    seeds=10,
    control=CONTROL.name,
    claims=CLAIMS,
)
