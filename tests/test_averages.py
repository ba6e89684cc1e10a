"""Moving averages in 16 bits against float64."""

import functools

import numpy as np
import pytest
from keras import ops

from keras16.numerics import averages
from tests.close import assert_close, numpy_dtype, wide
from tests.traced import both, constant, traced

STEPS = 3000
MOMENTA = [0.9, 0.99, 0.999]
INCREMENTS = {"mean": averages.towards, "root": averages.root_towards}


@functools.cache
def after_many_steps(kind, momentum, compiled):
    """A function that moves averages to rows of targets, one after another."""
    increment = INCREMENTS[kind](1 - momentum)

    def run(average, fraction, targets):
        def one(step, average, fraction):
            target = ops.take(targets, step, axis=0)
            return step + 1, *averages.move(average, fraction, target, increment)

        count = ops.shape(targets)[0]
        state = (constant(0), average, fraction)
        return ops.while_loop(lambda step, *_: step < count, one, state)[1:]

    return traced(run, compiled)


def in_float64(kind, momentum, start, targets):
    power = 2 if kind == "root" else 1
    average = wide(start) ** power
    for target in wide(targets) ** power:
        average = momentum * average + (1 - momentum) * target
    return average ** (1 / power)


def targets_of(dtype, seed=0):
    """Targets around means of many magnitudes; the spread is 10 % of them."""
    random = np.random.default_rng(seed)
    means = np.array([1e-5, 1e-3, 0.1, 1.0, 37.0, 1000.0, 5e4])
    return (means * random.normal(1, 0.05, (STEPS, len(means)))).astype(
        numpy_dtype(dtype)
    )


def test_an_average_in_float16_stalls():
    """What move is for: at 0.99 it stops 4 %, at 0.999 more than 20 % short."""
    for momentum, short in [(0.99, 0.02), (0.999, 0.1)]:
        average = np.float16(0)
        share = np.float16(1 - momentum)
        for _ in range(20_000):
            average = average + share * (np.float16(1) - average)
        assert 1 - average > short, momentum


@both
@pytest.mark.parametrize("kind", INCREMENTS)
@pytest.mark.parametrize("momentum", MOMENTA)
def test_averages_after_3000_steps(momentum, kind, compiled):
    targets = targets_of("float16")
    start = np.full(targets.shape[1], 1.0, "float16")
    fraction = np.zeros(targets.shape[1], "int16")
    average, _ = after_many_steps(kind, momentum, compiled)(start, fraction, targets)
    expected = in_float64(kind, momentum, start, targets)
    assert_close(average, expected, "float16", units=3)


@both
def test_an_average_comes_to_rest_at_its_goal(compiled):
    """From either side, where a float16 average stops short."""
    goals = np.array([1e-6, 3e-4, 0.3, -7.0, 6e4], "float16")
    targets = np.repeat(goals[None], STEPS, axis=0)
    start, fraction = goals * np.float16(0.99), np.zeros(len(goals), "int16")
    average, _ = after_many_steps("mean", 0.99, compiled)(start, fraction, targets)
    assert_close(average, wide(goals), "float16", units=1)
