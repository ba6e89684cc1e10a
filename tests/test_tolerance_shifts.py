"""Inputs that move away: what is added to them, and what is still certified."""

import numpy as np
import pytest
from test_tolerance import images, net

from keras16 import convert, tolerance
from keras16.tolerance import shifts


def pixels():
    return np.random.default_rng(0).integers(0, 256, (20, 5, 5, 1)).astype("uint8")


def test_noise_has_the_size_that_was_asked_for():
    x = images(200).astype("float64")
    added = shifts.noise(x, 0.5) - x
    assert added.std() == pytest.approx(0.5 * x.std(), rel=0.02)
    np.testing.assert_array_equal(shifts.noise(x, 0.5), shifts.noise(x, 0.5))


def test_contrast_goes_towards_the_mean_of_each_example():
    x = images().astype("float64")
    found = shifts.contrast(x, 0.75)
    means = x.mean(axis=(1, 2, 3), keepdims=True)
    np.testing.assert_allclose(found - means, (x - means) / 4, atol=1e-12)
    np.testing.assert_array_equal(shifts.contrast(pixels(), 0.0), pixels())


@pytest.mark.parametrize("change", [shifts.noise, shifts.contrast])
def test_pixels_stay_pixels(change):
    found = change(pixels(), 0.9)
    assert found.dtype == np.uint8
    assert abs(found.astype(int) - pixels().astype(int)).max() > 50


def test_each_shift_is_judged_by_the_net_and_its_cast():
    asked = []

    def proof(model, x):
        asked.append((model, x.shape))
        return np.arange(len(x)) < 16

    model, other = convert(net(), "16"), images()[::-1]
    found = tolerance.by_shift(model, images(), {"reversed": other}, proof)
    assert [(s.kind, s.strength) for s in found] == [
        ("none", 0.0),
        *(("noise", s) for s in shifts.STRENGTHS["noise"]),
        *(("contrast", s) for s in shifts.STRENGTHS["contrast"]),
        ("reversed", 1.0),
    ]
    assert {s.proven for s in found} == {0.25}
    assert all(net is model for net, _ in asked)
    cast = tolerance.cast(model, images())
    np.testing.assert_array_equal(found[0].comparison.delta, cast.delta)
    np.testing.assert_array_equal(found[-1].comparison.delta, cast.delta[::-1])
    assert found[5].comparison.delta.mean() != cast.delta.mean()
    assert all(s.comparison.certified_disagreements == 0 for s in found)


def test_without_a_proof_nothing_is_said_of_one():
    found = tolerance.by_shift(net(), images(4))
    assert {s.proven for s in found} == {None}
