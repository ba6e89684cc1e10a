"""The floor of plain SGD in float16: its bound, and what goes below it."""

import numpy as np
import pytest

from keras16.tolerance import floor


@pytest.fixture(scope="module")
def found():
    rates = (2.0**-2, 2.0**-5)
    return {(f.rounding, f.learning_rate): f for f in floor.floors(rates)}


def test_the_problem_has_curvatures_of_at_most_one():
    asked = floor.problem()
    for curvature in asked.curvatures:
        values = np.linalg.eigvalsh(curvature)
        assert 0.5 - 1e-12 <= values[0] <= values[-1] <= 1 + 1e-12
    assert (asked.optimum != asked.optimum.astype("float16")).all()


def test_rounding_to_nearest_stalls_above_the_bound(found):
    for rate in (2.0**-2, 2.0**-5):
        one = found["nearest", rate]
        assert one.stalled
        assert one.distance >= one.bound
    assert found["nearest", 2.0**-5].bound > 0
    assert found["nearest", 2.0**-5].distance < 10 * found["nearest", 2.0**-5].bound


def test_a_smaller_step_stalls_farther_away(found):
    near, far = found["nearest", 2.0**-2], found["nearest", 2.0**-5]
    assert far.distance > 3 * near.distance


@pytest.mark.parametrize("rounding", ["kahan", "stochastic"])
def test_other_roundings_go_below_the_floor(found, rounding):
    one, nearest = found[rounding, 2.0**-5], found["nearest", 2.0**-5]
    assert one.distance < nearest.bound
    assert one.distance >= one.bound


def simulated(asked, rate, start, steps):
    """SGD to nearest in NumPy: distances of all its float16 weights."""
    weights = start.astype("float16")
    for step in range(steps):
        curvature = asked.curvatures[step % len(asked.curvatures)]
        gradient = curvature @ (weights.astype("float64") - asked.optimum)
        weights = weights - np.float16(rate) * gradient.astype("float16")
        yield float(np.linalg.norm(weights.astype("float64") - asked.optimum))


def test_no_descent_comes_below_the_bound():
    """From many starts, near ones among them, at many rates; the bound is not slack."""
    draws = np.random.default_rng(0)
    held, tightest = 0, np.inf
    for seed in range(40):
        asked = floor.problem(weights=1 + seed % 4, batches=2, seed=seed)
        rate = 2.0 ** -int(draws.integers(1, 12))
        away = draws.normal(size=asked.optimum.shape) * 10.0 ** draws.uniform(-4, 0.5)
        start = (asked.optimum + away).astype("float16").astype("float64")
        first = float(np.linalg.norm(start - asked.optimum))
        least = floor.bound(asked, rate, first)
        nearest = min([first, *simulated(asked, rate, start, 400)])
        assert nearest >= least * (1 - 1e-12)
        if 0 < least < first:
            held += 1
            tightest = min(tightest, nearest / least)
    assert held > 5
    assert tightest < 3


def test_keras16s_sgd_is_the_one_simulated():
    asked = floor.problem()
    one = floor.descend(asked, "nearest", 2.0**-4)
    *_, last = simulated(asked, 2.0**-4, np.zeros(4), one.steps)
    assert one.distance == last / np.linalg.norm(asked.optimum)


def test_the_bound_says_nothing_of_large_steps():
    assert floor.bound(floor.problem(), 1.0, 5.0) == 0
    assert floor.bound(floor.problem(), 2.0**-12, 1e-3) == 1e-3
