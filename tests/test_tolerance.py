"""Tolerance: delta, gamma and the certificate that the classes agree."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras16 import convert, tolerance
from keras16.errors import UserError
from keras16.tolerance import measured, nets

# Probabilities


def test_probabilities_are_those_of_a_softmax_in_float64():
    logits = np.array([[1.0, 2.0, 4.0], [0, 0, 0]], "float16")
    found = tolerance.probabilities(logits)
    raised = np.exp([1.0, 2.0, 4.0])
    np.testing.assert_allclose(found[0], raised / raised.sum(), rtol=1e-15)
    assert found.dtype == np.float64
    assert (found[1] == 1 / 3).all()


def test_probabilities_of_large_logits_are_finite():
    found = tolerance.probabilities(np.array([[6e4, -6e4, 6e4]]))
    assert found.tolist() == [[0.5, 0.0, 0.5]]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_never_certified(bad):
    p = tolerance.probabilities(np.array([[9.0, 0.0], [9.0, 0.0]]))
    q = tolerance.probabilities(np.array([[9.0, bad], [9.0, 0.0]]))
    for found in tolerance.compared("cast", p, q), tolerance.compared("cast", q, p):
        assert found.certified.tolist() == [False, True]
        assert found.certified_share == 0.5
        assert np.isnan(found.delta[0])
        assert found.agrees.tolist() == [False, True]
    assert np.isnan(tolerance.gamma(q)[0])
    assert tolerance.distribution(found.delta).not_finite == 1


# The lemma


def test_delta_and_gamma_are_by_hand():
    p = np.array([[0.5, 0.25, 0.25], [0.5, 0.5, 0.0]])
    q = np.array([[0.25, 0.25, 0.5], [0.5, 0.375, 0.125]])
    assert tolerance.delta(p, q).tolist() == [0.25, 0.125]
    assert tolerance.gamma(p).tolist() == [0.25, 0.0]


def test_the_lemma_is_strict():
    """At gamma = 2 delta the second net ties, and its answer may be another class."""
    p, q = np.array([[0.25, 0.75]]), np.array([[0.5, 0.5]])
    found = tolerance.compared("cast", p, q)
    assert found.gamma == 2 * found.delta
    assert not found.agrees[0]
    assert found.certified_disagreements == 0
    assert found.disagreements == 1


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.integers(2, 6), st.sampled_from([4, 8, 16, 64]))
def test_coarse_probabilities_tie_and_no_certified_answer_differs(seed, classes, grain):
    draws = np.random.default_rng(seed)
    p, q = (coarse(draws, classes, grain) for _ in range(2))
    found = tolerance.compared("cast", p, q)
    assert found.certified_disagreements == 0
    exact = np.rint(p * grain).astype(int), np.rint(q * grain).astype(int)
    apart = np.abs(exact[0] - exact[1]).max(axis=1)
    top = np.sort(exact[0], axis=1)
    assert (found.certified == (top[:, -1] - top[:, -2] > 2 * apart)).all()


def coarse(draws, classes, grain, examples=50):
    """Probabilities that are whole parts of a grain, so that ties are common."""
    near = draws.multinomial(grain, np.ones(classes) / classes, size=examples)
    return near / grain


def test_no_certified_answer_differs_in_thousands_of_nets():
    """40,000 pairs of a random net and an input: casts, and nets trained apart."""
    draws = np.random.default_rng(0)
    certified = differing = ties = 0
    for hidden, classes, scale in [(8, 2, 1), (16, 10, 4), (32, 3, 30), (4, 5, 0.01)]:
        weights = random_nets(draws, 1000, (6, hidden, classes), scale)
        x = draws.normal(size=(1000, 10, 6)).astype("float16")
        p = tolerance.probabilities(forward(weights, x, "float32"))
        for q in others(draws, weights, x, scale):
            pair = p.reshape(-1, classes), q.reshape(-1, classes)
            found = tolerance.compared("cast", *pair)
            assert found.certified_disagreements == 0
            certified += int(found.certified.sum())
            differing += found.disagreements
            ties += int((found.gamma == 0).sum())
    assert certified > 20_000
    assert differing > 1_000
    assert ties > 1_000


def random_nets(draws, count, widths, scale):
    """Weights [nets, in, out] of each layer; a quarter of the nets tie two classes."""
    pairs = zip(widths, widths[1:], strict=False)
    shapes = [(count, *pair) for pair in pairs]
    weights = [scale * draws.normal(size=s) / np.sqrt(s[1]) for s in shapes]
    weights[-1][: count // 4, :, 1] = weights[-1][: count // 4, :, 0]
    return weights


def forward(weights, x, dtype):
    """Logits of nets with one hidden layer, each operation in a dtype."""
    hidden = np.maximum(x.astype(dtype) @ weights[0].astype(dtype), 0)
    return hidden @ weights[1].astype(dtype)


def others(draws, weights, x, scale):
    """The cast, a net a little apart, and one of another seed."""
    yield tolerance.probabilities(forward(weights, x, "float16"))
    for distance in (0.02, 1.0):
        moved = [w + distance * scale * draws.normal(size=w.shape) for w in weights]
        yield tolerance.probabilities(forward(moved, x, "float16"))


# Distributions


def test_distribution_is_numpys():
    values = np.array([0.0, 1.0, 2.0, 3.0, np.inf])
    found = tolerance.distribution(values)
    assert (found.mean, found.variance, found.not_finite) == (1.5, 1.25, 1)
    assert found.quantiles[0] == 0.0
    assert found.quantiles[-1] == 3.0
    assert found.quantiles[measured.QUANTILES.index(0.5)] == 1.5
    assert np.isnan(tolerance.distribution(np.array([np.nan])).mean)


# Nets


def net(seed=0, *, activation=None, dtype="float32", classes=4, nested=False):
    """A small convolutional net."""
    keras.utils.set_random_seed(seed)
    layers = [
        keras.Input((6, 6, 1)),
        keras.layers.Conv2D(4, 3, activation="relu", dtype=dtype),
        keras.layers.Flatten(dtype=dtype),
        keras.layers.Dense(classes, activation=activation, dtype=dtype),
    ]
    model = keras.Sequential(layers)
    if not nested:
        return model
    inputs = keras.Input((6, 6, 1))
    return keras.Model(inputs, model(inputs))


def images(count=64):
    return np.random.default_rng(1).normal(size=(count, 6, 6, 1)).astype("float16")


@pytest.mark.parametrize("nested", [False, True])
def test_a_net_that_ends_in_a_softmax_gives_probabilities(nested):
    plain = net(nested=nested)
    soft = net(activation="softmax", nested=nested)
    assert not nets.gives_probabilities(plain)
    assert nets.gives_probabilities(soft)
    p, q = nets.probabilities(plain, images()), nets.probabilities(soft, images())
    np.testing.assert_allclose(p, q, atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        ("float16", "16"),
        ("bfloat16", "bf16"),
        ("float32", "32"),
        ("mixed_float16", "mixed"),
    ],
)
def test_the_precision_of_a_net_is_that_of_its_layers(dtype, name):
    assert nets.precision(net(dtype=dtype)) == name
    assert nets.precision(net(dtype=dtype, nested=True)) == name


def test_a_net_without_weights_has_no_precision():
    empty = keras.Sequential([keras.Input((2,)), keras.layers.ReLU()])
    with pytest.raises(UserError, match="has weights of none"):
        nets.precision(empty)


def test_the_cast_of_a_net_differs_by_rounding_alone():
    found = tolerance.cast(net(), images())
    assert found.kind == "cast"
    assert 0 < found.delta.max() < 5e-3
    assert found.certified_share > 0.9
    assert found.certified_disagreements == 0


def test_the_cast_of_a_16_bit_net_is_the_wide_one_of_its_weights():
    twin = convert(net(), "16")
    found = tolerance.cast(twin, images())
    assert 0 < found.delta.max() < 5e-3
    wide = nets.probabilities(convert(twin, "32"), images())
    np.testing.assert_array_equal(found.gamma, tolerance.gamma(wide))


def test_the_three_comparisons_are_told_apart():
    wide, other, narrow = net(), net(seed=5), convert(net(seed=7), "16")
    by_kind = {c.kind: c for c in tolerance.compare([narrow, wide, other], images())}
    assert set(by_kind) == set(measured.MEANING)
    p, q, r = (nets.probabilities(m, images()) for m in (wide, narrow, other))
    trained, control = by_kind["trained"], by_kind["control"]
    np.testing.assert_array_equal(trained.delta, tolerance.delta(p, q))
    np.testing.assert_array_equal(trained.gamma, tolerance.gamma(p))
    np.testing.assert_array_equal(control.delta, tolerance.delta(p, r))
    assert by_kind["cast"].delta.max() < 5e-3 < trained.delta.mean()
    kinds = [c.kind for c in tolerance.compare([wide], images())]
    assert kinds == ["cast"]


def test_nets_of_other_classes_are_not_compared():
    with pytest.raises(UserError, match="numbers of classes"):
        tolerance.compare([net(), net(classes=3)], images())
