"""Why a run diverged: the place, the likely cause and a remedy, in one line."""

import keras
import numpy as np
import pytest

from keras16 import diagnosis
from keras16.study import Run

RUN = Run(learning_rate=0.5, epsilon=1e-8)


def net():
    inner = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, name="loud"), keras.layers.ReLU()],
        name="inner",
    )
    inputs = keras.Input((4,))
    x = keras.layers.BatchNormalization(name="norm")(inner(inputs))
    return keras.Model(inputs, keras.layers.Dense(2, name="logits")(x))


def told(model, x=None):
    x = np.ones((5, 4), "float32") if x is None else x
    line = diagnosis.cause(model, x, RUN, 2, 7)
    assert "\n" not in line
    assert line.startswith("the loss became NaN or infinite at step 7 of epoch 2: ")
    return line


def layer(model, name):
    return next(one for one in model._flatten_layers() if one.name == name)


def test_weights_that_are_not_finite():
    model = net()
    kernel = layer(model, "logits").kernel
    kernel.assign(kernel * np.nan)
    assert "an update made 1 of 6 weights not finite, logits/kernel" in told(model)


def test_a_statistic_that_left_its_range():
    model = net()
    variance = layer(model, "norm").moving_variance
    variance.assign(variance + np.inf)
    assert "norm/moving_variance left the range of float32" in told(model)


def test_the_first_layer_that_overflows_inside_a_nested_model():
    model = net()
    kernel = layer(model, "loud").kernel
    kernel.assign(0 * kernel + 3e38)
    assert "the outputs of layer loud leave the range" in told(model)


def test_an_input_that_is_not_finite_is_met_at_the_first_layer():
    line = told(net(), np.full((5, 4), np.inf, "float32"))
    assert "the outputs of layer loud leave the range" in line


def test_nothing_to_blame_but_the_loss():
    assert "an input or the loss itself left the range" in told(net())


def test_the_remedy_names_the_settings_of_the_run():
    line = told(net())
    assert "use a learning rate below 0.5" in line
    assert "an epsilon above 1e-08" in line
    assert "--precision bf16" in line


@pytest.mark.parametrize("epsilon", [None, 1e-7])
def test_the_remedy_leaves_a_sound_epsilon_alone(epsilon):
    run = Run(learning_rate=0.5, epsilon=epsilon)
    line = diagnosis.cause(net(), np.ones((5, 4), "float32"), run, 1, 1)
    assert "epsilon" not in line


def test_a_subclassed_model_is_not_looked_into():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    model = Subclassed()
    model(np.ones((1, 4), "float32"))
    assert "an input or the loss itself" in told(model)
