"""The contender Keras: `fit` of a model of Keras' own layers, with its defaults."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np

from keras16 import backend, data
from keras16.benchmark import architecture
from keras16.benchmark.architecture_files import SETTINGS
from keras16.benchmark.meter import Meter, seconds_a_step
from keras16.benchmark.ours import state_bytes
from keras16.benchmark.plan import Case, Contender

FOREVER = 10**9  # epochs


class Trainer:
    """Runs `fit` on arrays, and stops it between two rounds inside a callback."""

    def __init__(self, contender: Contender, case: Case) -> None:
        policy = contender.setting
        self.floatx = "float32" if policy.startswith("mixed") else policy
        keras.config.set_floatx(self.floatx)
        keras.config.set_dtype_policy(policy)
        if not contender.remapper:
            backend.module().keep_fast_kernels()
        self.batch_size = case.run.batch_size
        dataset = data.load(case.run.dataset)
        self.x, self.y = dataset.x_train, dataset.y_train
        if not dataset.is_pixels:
            self.x = self.x.astype(self.floatx)
        keras.utils.set_random_seed(case.run.seed)
        self.model = architecture.loaded(case.folder, policy, self.floatx)
        settings = json.loads((case.folder / SETTINGS).read_text())
        self.model.compile(
            optimizer=optimizer(settings),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        self._loop: Any = None

    def train(self, meter: Meter) -> None:
        """Whatever `fit` does, but for its progress bar."""
        self.model.fit(
            self.x,
            self.y,
            batch_size=self.batch_size,
            epochs=FOREVER,
            verbose=0,
            callbacks=[Turns(meter)],
        )

    def inside(self, seconds: float) -> float:
        """Seconds of a step inside a compiled loop over the same model."""
        backend.module().hold_state(self.model)
        if self._loop is None:
            self._loop = self._made_loop()
        rows = np.arange(self.batch_size, dtype="int32")

        def run(steps: int) -> None:
            order = np.tile(rows, (steps, 1))
            self._loop.train(order, np.zeros((*order.shape, 0), "int32"))

        return seconds_a_step(run, seconds)

    def state(self) -> dict[str, int]:
        """Bytes of the training state."""
        return state_bytes(self.model)

    def _made_loop(self) -> Any:
        return backend.module().Loop(
            self.model,
            self.x[: self.batch_size],
            self.y[: self.batch_size],
            batch_size=self.batch_size,
            change=lambda x, draws: x,
            stop=lambda: keras.ops.convert_to_tensor(False),
            compiled=bool(self.model.jit_compile),
        )


class Turns(keras.callbacks.Callback):
    """Tells the meter of every step.

    Between two epochs the clock stands still: `fit` tears its iterator down there,
    polling with longer and longer waits, which is no part of a step.
    """

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self.meter = meter

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Waits for the first round."""
        self.meter.begin()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """The iterator is torn down and another one is made."""
        self.meter.pause()

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """The first batch of the next epoch is there."""
        self.meter.resume()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """One step; at the end of a round its loss is waited for."""
        # Keras leaves numbers of bfloat16 tensors, which float() does not take.
        values = (logs or {}).values()
        waits = [each.numpy for each in values if hasattr(each, "numpy")]
        self.meter.stepped(1, lambda: [wait() for wait in waits])


def optimizer(settings: dict[str, Any]) -> keras.optimizers.Optimizer:
    """Keras' own optimizer with the settings of the run.

    Args:
        settings: Fields of the run, defaults filled in.
    """
    rate = settings["learning_rate"]
    if settings["optimizer"] == "sgd":
        return keras.optimizers.SGD(rate, momentum=settings["momentum"])
    return keras.optimizers.Adam(rate, epsilon=settings["epsilon"])
