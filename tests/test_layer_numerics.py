"""The float16 traps of layers: stock Keras is off in each, ours as float64."""

from __future__ import annotations

import functools
import warnings

import keras
import layer_twins
import numpy as np
import pytest
from layer_cases import Case, case
from reference import activations as reference

import keras16.layers as ours
from keras16 import precision
from keras16.convert import adapted
from keras16.errors import UserError
from keras16.layers import _activations
from keras16.numerics import draws, segments, softmax
from tests.close import host, numpy_dtype, wide
from tests.traced import (
    ON_JAX,
    both,
    computed_in,
    constant,
    run,
    traced,
    value_and_gradients,
)

stock = keras.layers
NORMALIZING = {
    "LayerNormalization": case((64,)),
    "RMSNormalization": case((64,)),
    "UnitNormalization": case((64,)),
    "GroupNormalization": case((5, 5, 16), groups=4),
}


def normal(*shape, scale=1.0, seed=0):
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype("float16")


@pytest.mark.parametrize(
    ("magnitude", "compiled"),
    [(1e-4, False), (1e-4, True), (1.0, False), (300.0, False), (1.5e4, True)],
)
@pytest.mark.parametrize("name", NORMALIZING)
def test_normalization_at_any_magnitude(name, magnitude, compiled):
    found = layer_twins.errors(
        getattr(ours, name),
        getattr(stock, name),
        NORMALIZING[name],
        compiled=compiled,
        magnitude=magnitude,
    )
    assert max(found) <= 10, found


@pytest.mark.parametrize(("slope", "compiled"), [(1e-4, False), (1e3, True)])
@pytest.mark.parametrize("name", NORMALIZING)
def test_normalization_of_gradients_of_any_magnitude(name, slope, compiled):
    found = layer_twins.errors(
        getattr(ours, name),
        getattr(stock, name),
        NORMALIZING[name],
        compiled=compiled,
        slope=slope,
    )
    assert max(found) <= 10, found


@both
def test_normalization_of_a_small_deviation_around_a_large_mean(compiled):
    found = layer_twins.errors(
        ours.LayerNormalization,
        stock.LayerNormalization,
        case((4096,)),
        compiled=compiled,
        magnitude=4.0,
        offset=2000.0,
    )
    assert max(found) <= 10, found


@pytest.mark.parametrize(
    "arguments",
    [{"axis": 1}, {"axis": [1, 3]}, {"center": False, "scale": False}],
    ids=str,
)
def test_layer_normalization_along_any_axes(arguments):
    found = layer_twins.errors(
        ours.LayerNormalization,
        stock.LayerNormalization,
        case((6, 7, 8), **arguments),
        compiled=False,
    )
    assert max(found) <= 16, found


@both
def test_rms_scaling_divides_by_the_deviation(compiled):
    with pytest.warns(UserWarning, match="rms_scaling"):
        found = layer_twins.errors(
            ours.LayerNormalization,
            stock.LayerNormalization,
            case((64,), rms_scaling=True),
            compiled=compiled,
        )
    assert max(found) <= 10, found


def test_group_normalization_of_channels_first():
    found = layer_twins.errors(
        ours.GroupNormalization,
        stock.GroupNormalization,
        case((8, 6, 5), groups=-1, axis=1),
        compiled=False,
    )
    assert max(found) <= 10, found


def test_stock_unit_normalization_ends_at_256():
    x = normal(4, 64, scale=300.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its epsilon overflows as well
        assert not run(stock.UnitNormalization(dtype="float16"), x)[0].any()
    tiny = normal(4, 64, scale=1e-5)
    exact = tiny / np.linalg.norm(tiny.astype("float64"), axis=-1, keepdims=True)
    got = run(ours.UnitNormalization(dtype="float16"), tiny)[0]
    assert layer_twins.error(got, exact) <= 5


def test_constant_slices_give_beta_and_no_gradient():
    for name, build in NORMALIZING.items():
        layer = build.build(getattr(ours, name), "float16")
        value, gradient = run(layer, np.zeros((3, *build.shapes[0])))
        assert not value.any(), name
        # Zeros over a root mean square of sqrt(epsilon), 1e-3, have a slope of 1e3.
        slope = 1000 if name == "RMSNormalization" else 0
        np.testing.assert_allclose(gradient, slope, rtol=2e-3)


@both
def test_batch_normalization_with_a_mask(compiled):
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1]], bool)

    class Masked(keras.layers.Layer):
        def __init__(self, cls, dtype):
            super().__init__(dtype=dtype)
            self.layer = cls(dtype=dtype, momentum=0.5)

        def call(self, inputs, training=None):
            return self.layer(inputs, training=training, mask=constant(mask))

    found = layer_twins.errors(
        ours.BatchNormalization,
        stock.BatchNormalization,
        Case(Masked, ((5, 6),)),
        compiled=compiled,
        batch=3,
        magnitude=2.0,
        offset=5.0,
    )
    assert max(found) <= 12, found


def test_mask_moves_the_statistics_and_wants_channels_last():
    x = normal(3, 5, 6) + np.float16(4)
    mask = np.zeros((3, 5), bool)
    mask[:, :2] = True
    layer = ours.BatchNormalization(dtype="float16", momentum=0.5)
    filled = constant(np.where(mask[..., None], x, np.float16(999)))
    layer(filled, training=True, mask=mask)
    kept = x[mask].astype("float64")
    np.testing.assert_allclose(layer.moving_mean, 0.5 * kept.mean(axis=0), rtol=2e-3)
    deviation = np.sqrt(0.5 + 0.5 * kept.var(axis=0))
    np.testing.assert_allclose(layer.moving_deviation, deviation, rtol=2e-3)
    first = ours.BatchNormalization(axis=1, dtype="float16")
    with pytest.raises(UserError, match="channels last"):
        first(x, training=True, mask=mask)


@both
def test_activations_and_their_slopes(compiled):
    functions = [
        _activations.sixteen_bit(getattr(keras.activations, name))
        for name in reference.FUNCTIONS
    ]
    far = np.geomspace(1e-6, 6e4, 500)
    x = np.concatenate([np.linspace(-20, 20, 4001), far, -far]).astype("float16")
    results = run_each(functions, x, compiled)
    for name, got in zip(reference.FUNCTIONS, results, strict=True):
        exact = reference.value_and_slope(name, x.astype("float64"))
        for g, e in zip(got, exact, strict=True):
            # Units of the number, or of 1/16 where it is smaller: slopes cross 0.
            scale = np.maximum(np.abs(e), 1 / 16)
            finite = np.abs(e) < 65504
            found = np.abs(g - e)[finite] / scale[finite] / layer_twins.UNIT
            assert np.max(found) <= 16, (name, x[finite][np.argmax(found)])
            assert np.all(np.abs(g - e)[np.abs(e) < 2.0**-14] <= 2.0**-19), name


def run_each(functions, x, compiled):
    """[value, slope] of each function, from one graph."""

    def step(x):
        ones = keras.ops.ones_like(x)
        return [value_and_gradients(function)(ones, x) for function in functions]

    results = traced(step, compiled)(constant(x))
    return [[wide(part) for part in parts] for parts in results]


def test_each_activation_has_its_16_bit_function():
    for name in reference.FUNCTIONS:
        function = getattr(keras.activations, name)
        assert _activations.sixteen_bit(function) is not function
        assert _activations.stock(_activations.sixteen_bit(function)) is function
    as_it_is = keras.activations.leaky_relu
    assert _activations.sixteen_bit(as_it_is) is as_it_is
    assert _activations.sixteen_bit(len) is len
    single = _activations.sixteen_bit(keras.activations.gelu)(
        constant([1.0], "float32")
    )
    assert keras.backend.standardize_dtype(single.dtype) == "float32"


@pytest.mark.parametrize(
    ("name", "x"), [("tanh", 5.2), ("sigmoid", 7.9), ("softsign", 255.0), ("elu", -8.3)]
)
def test_stock_slopes_are_off(name, x):
    x = np.array([x], "float16")
    function = getattr(keras.activations, name)
    exact = reference.value_and_slope(name, x.astype("float64"))[1]
    assert abs(run(function, x)[1] / exact - 1) > 0.1
    mine = run(_activations.sixteen_bit(function), x)[1]
    np.testing.assert_allclose(mine, exact, rtol=4e-3)


def exact_softmax(x, g, axis, logarithm):
    x, g = x.astype("float64"), g.astype("float64")
    shifted = x - x.max(axis=axis, keepdims=True)
    p = np.exp(shifted) / np.exp(shifted).sum(axis=axis, keepdims=True)
    if logarithm:
        return np.log(np.exp(shifted).sum(axis=axis, keepdims=True)) * -1 + shifted, (
            g - p * g.sum(axis=axis, keepdims=True)
        )
    return p, p * (g - (p * g).sum(axis=axis, keepdims=True))


@pytest.mark.parametrize(
    ("shape", "scale", "compiled"),
    [
        ((40, 10), 0.1, False),
        ((40, 10), 3.0, True),
        ((20, 1000), 3.0, False),
        ((2, 70000), 0.1, True),
        ((4, 5000), 2.0, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("logarithm", [False, True], ids=["softmax", "log_softmax"])
def test_softmax(shape, scale, logarithm, compiled):
    function = softmax.log_softmax if logarithm else softmax.softmax
    x, g = normal(*shape, scale=scale), normal(*shape, scale=10.0, seed=1)
    value, gradient = run(function, x, compiled=compiled, upstream=g)
    exact = exact_softmax(x, g, -1, logarithm)
    assert layer_twins.error(value, exact[0]) <= 6
    assert layer_twins.error(gradient, exact[1]) <= 16


@both
def test_softmax_of_no_number_is_none(compiled):
    x = np.array([[1, np.nan, 2], [1, -np.inf, 2], [0, 0, 0]], "float16")
    found = run(softmax.softmax, x, compiled=compiled)[0]
    assert np.isnan(found[0]).all()
    assert found[1, 1] == 0 and np.isfinite(found[1:]).all()


def test_stock_softmax_gradient_cancels():
    # One class has all but 2e-4: its gradient is the others', and tiny.
    x = np.array([[9.0, 0.0, -1.0, 0.5]], "float16")
    g = np.array([[3.0, -1.0, 2.0, 0.5]], "float16")
    exact = exact_softmax(x, g, -1, False)[1]
    stock_gradient = run(keras.ops.softmax, x, upstream=g)[1]
    assert np.max(np.abs(stock_gradient / exact - 1)) > 0.2
    mine = run(softmax.softmax, x, upstream=g)[1]
    np.testing.assert_allclose(mine, exact, rtol=1e-2)


def test_softmax_of_several_axes_and_masks():
    x = normal(3, 4, 5)
    got = run(lambda x: softmax.softmax(x, (0, 2)), x)[0]
    exact = exact_softmax(x, x, (0, 2), False)[0]
    assert layer_twins.error(got, exact) <= 6
    mask = np.array([[True, False, True], [False, False, False]])
    layer = ours.Softmax(dtype="float16")
    masked = host(layer(constant(normal(2, 3)), mask=constant(mask)))
    assert np.array_equal(masked > 0, mask)
    assert masked[0].sum() == 1


@both
def test_embedding_counts_every_use(compiled):
    ids = np.zeros((100, 100), "int32")

    def gradient(cls):
        layer = cls(5, 3, dtype="float16")
        layer.build(None)
        uses = run(layer, ids, weights=[layer.embeddings], compiled=compiled)
        return uses[1][0]

    assert (gradient(stock.Embedding) == 2048).all()
    assert (gradient(ours.Embedding) == 10000).all()


def sums_of_five(values, ids):
    return segments.segment_sum(values, ids, 5)


@both
@pytest.mark.parametrize("scale", [1e-7, 1e-3, 1.0, 3e3])
def test_segment_sum_is_rounded_once(scale, compiled):
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(20000, 3)) * scale).astype("float16")
    values[0] = 65504, -65504, 2.0**-24
    ids = rng.integers(0, 4, 20000).astype("int32")
    exact = np.zeros((5, 3))
    np.add.at(exact, ids, values.astype("float64"))
    got = host(traced(sums_of_five, compiled)(constant(values), constant(ids)))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(got, exact.astype("float16"))


def test_segment_sum_says_what_is_not_finite():
    values = np.array([[np.inf], [1], [np.nan], [2]], "float16")
    ids = np.array([0, 0, 1, 2], "int32")
    got = host(segments.segment_sum(constant(values), constant(ids), 4))
    np.testing.assert_array_equal(got[:, 0], [np.inf, np.nan, 2, 0])


def test_segment_sum_of_bfloat16():
    values = (normal(3000, 2).astype("float64") * 1e-20).astype(numpy_dtype("bfloat16"))
    exact = wide(values)[:, None].sum(axis=0)[0]
    ids = np.zeros(3000, "int32")
    got = wide(segments.segment_sum(constant(values), constant(ids), 1))[0]
    np.testing.assert_allclose(got, exact, rtol=2.0**-8)


def bias_gradient(cls, examples):
    layer = cls("ab,bcd->acd", (2, 3), bias_axes="cd", dtype="float16")
    x = np.ones((examples, 4), "float16")
    layer(constant(x))
    return run(layer, x, weights=[layer.bias])[2]


def test_bias_of_heads_counts_every_example():
    if not ON_JAX:  # which adds in float32
        assert (bias_gradient(stock.EinsumDense, 20000) < 15000).any()
    assert (bias_gradient(ours.EinsumDense, 20000) == 20000).all()


BIASED = {
    "Dense": case((25, 4), units=3),
    "Conv2D": case((5, 5, 4), filters=3, kernel_size=1),
    "Conv3DTranspose": case((1, 5, 5, 4), filters=3, kernel_size=1),
    "DepthwiseConv2D": case((5, 5, 3), kernel_size=1, activation="relu"),
    "SeparableConv1D": case((25, 4), filters=3, kernel_size=1),
}


@pytest.mark.parametrize("name", BIASED)
def test_the_gradient_of_a_bias_is_the_sum_of_20_000(name):
    layer = BIASED[name].build(getattr(ours, name), "float16")
    layer.build((800, *BIASED[name].shapes[0]))
    layer.bias.assign([9, 9, 9])  # what a relu lets through
    upstream = normal(800, *BIASED[name].shapes[0][:-1], 3) + np.float16(0.5)
    x = np.zeros((800, *BIASED[name].shapes[0]), "float16")
    value, *_, found = run(layer, x, weights=[layer.bias], upstream=upstream)
    exact = upstream.astype("float64").reshape(-1, 3).sum(axis=0)
    np.testing.assert_allclose(found, exact, rtol=2.0**-10)
    assert (value == 9).all()


@pytest.mark.parametrize("name", ["PReLU", "AdditiveAttention"])
def test_other_weights_count_every_example(name):
    def gradient(cls):
        layer = cls(dtype="float16")
        x = -np.ones((6000, 2), "float16")
        given = [x] if name == "PReLU" else [(20 * x)[None], -(20 * x)[None, :1] * 0]
        shapes = [one.shape for one in given]
        layer.build(shapes[0] if name == "PReLU" else shapes)
        function = layer if name == "PReLU" else layer._calculate_scores
        return run(function, *given, weights=layer.trainable_variables[:1])[-1]

    exact = -6000
    if not ON_JAX:  # which adds in float32
        assert np.abs(gradient(getattr(stock, name)) / exact - 1).max() > 0.1
    np.testing.assert_allclose(gradient(getattr(ours, name)), exact, rtol=1e-3)


@pytest.mark.parametrize("rate", [1e-3, 0.3, 0.9])
def test_dropout_drops_its_rate(rate):
    x = constant(np.ones((1000, 1000), "float16"))
    layer = ours.Dropout(rate, seed=1, dtype="float16")
    kept = np.sum(host(layer(x, training=True)) > 0)
    dropped, spread = 1e6 - kept, np.sqrt(1e6 * rate * (1 - rate))
    assert abs(dropped - 1e6 * rate) < 5 * spread
    if rate == 1e-3 and not ON_JAX:  # which draws in float32
        kept = stock.Dropout(rate, seed=1, dtype="float16")(x, training=True)
        dropped = 1e6 - np.sum(host(kept) > 0)
        assert dropped > 1500


def test_dropout_keeps_the_mean_and_whole_channels():
    x = constant(np.ones((64, 8, 8, 32), "float16"))
    out = ours.SpatialDropout2D(0.25, seed=1, dtype="float16")(x, training=True)
    channels = host(out).reshape(64, 64, 32)
    assert (channels == channels[:, :1]).all()
    assert set(np.unique(channels)) == {0, np.float16(1 / 0.75)}
    assert not host(draws.dropout(x, 1.0)).any()
    alpha = ours.AlphaDropout(0.2, seed=1, dtype="float16")
    out = host(alpha(constant(normal(1000, 200)), training=True))
    assert abs(out.mean(dtype="float64")) < 0.01
    assert abs(out.std(dtype="float64") - 1) < 0.01


def test_average_and_dot_do_not_overflow():
    x = constant([[60000.0, -3.0]], "float16")
    assert not np.isfinite(host(stock.Average(dtype="float16")([x, x, x]))).all()
    got = host(ours.Average(dtype="float16")([x, x, x]))
    np.testing.assert_allclose(got, host(x), rtol=1e-3)
    pair = [constant([[300.0, 400.0]], "float16")] * 2
    arguments = {"axes": 1, "normalize": True, "dtype": "float16"}
    assert host(stock.Dot(**arguments)(pair)) == 0
    assert abs(host(ours.Dot(**arguments)(pair)) - 1) < 2e-3


def test_normalization_adapts_to_wide_and_to_offset_data():
    rng = np.random.default_rng(0)
    data = np.stack(
        [rng.normal(0, 3000, 4000), rng.normal(1000, 0.5, 4000), np.ones(4000)], axis=1
    )
    x = data.astype("float16")
    exact = x.astype("float64")
    spread = np.maximum(exact.std(axis=0), 1e-7)
    exact = (exact - x.mean(axis=0, dtype="float64")) / spread
    layer = ours.Normalization(dtype="float16")
    layer.adapt([x[:1500], x[1500:]])
    got = host(layer(constant(x)))
    assert layer_twins.error(got[:, :2], exact[:, :2]) <= 5
    assert not got[:, 2].any()
    plain = stock.Normalization(dtype="float16")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain.adapt(x.astype("float32"))
    assert np.isinf(host(plain.variance)).any()


def test_conversion_keeps_statistics_that_16_bits_do_not():
    inputs = keras.Input((2,))
    layer = stock.Normalization()
    model = keras.Model(inputs, stock.Dense(1)(layer(inputs)))
    x = np.random.default_rng(0).normal([1000, 0], [0.5, 3000], (4000, 2))
    x = x.astype("float16").astype("float32")
    layer.adapt(x)
    converted = adapted(model, precision.get("16"))
    assert type(converted.layers[1]) is ours.Normalization
    got = host(converted.layers[1](constant(x, "float16")))
    assert layer_twins.error(got, host(layer(x))) <= 5


def test_normalization_inverts():
    arguments = {"mean": [1000.0, -3.0], "variance": [0.25, 9e6], "dtype": "float16"}
    x = normal(50, 2)
    there = ours.Normalization(**arguments, invert=True)(constant(x))
    exact = x.astype("float64") * [0.5, 3000] + [1000, -3]
    assert layer_twins.error(host(there), exact) <= 3


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3])
def test_spectral_normalization_brings_the_largest_value_to_one(scale):
    keras.utils.set_random_seed(0)
    layer = ours.SpectralNormalization(
        stock.Dense(8, dtype="float16"), power_iterations=20, dtype="float16"
    )
    x = constant(np.ones((2, 12), "float16"))
    layer(x)
    layer.layer.kernel.assign(normal(12, 8, scale=scale))
    layer(x, training=True)
    kernel = wide(layer.layer.kernel)
    assert abs(np.linalg.norm(kernel, 2) - 1) < 2e-2


def test_attention_masks_keys_and_heads_agree():
    x = normal(2, 5, 8)
    mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)
    options = {"mask": [None, constant(mask)], "use_causal_mask": True}
    for name in ("Attention", "AdditiveAttention"):
        mine = getattr(ours, name)(dtype="float16")
        with computed_in("float64"):
            exact = getattr(stock, name)(dtype="float64")
        masked = functools.partial(attend, as_list=True, **options)
        got, want = both_called(mine, exact, x, masked)
        assert layer_twins.error(host(got), host(want)) <= 8


def attend(layer, x, *, as_list=False, **options):
    """What a layer makes of queries and keys that are one."""
    return layer([x, x], **options) if as_list else layer(x, x, **options)


def both_called(mine, exact, x, call):
    """What a float16 layer and a float64 one of the same weights give for x."""
    call(mine, constant(x))
    with computed_in("float64"):
        call(exact, constant(wide(x)))
        for own, other in zip(mine.weights, exact.weights, strict=True):
            other.assign(wide(own))
        want = call(exact, constant(wide(x)))
    return call(mine, constant(x)), want


@pytest.mark.parametrize("name", ["MultiHeadAttention", "GroupQueryAttention"])
def test_heads_with_masks_are_keras(name):
    arguments = (
        {"num_heads": 2, "key_dim": 4}
        if name == "MultiHeadAttention"
        else {"head_dim": 4, "num_query_heads": 4, "num_key_value_heads": 2}
    )
    x = normal(2, 6, 8)
    mask = np.random.default_rng(0).random((2, 6, 6)) < 0.7
    mask |= np.eye(6, dtype=bool)
    mine = getattr(ours, name)(**arguments, dtype="float16")
    with computed_in("float64"):
        exact = getattr(stock, name)(**arguments, dtype="float64")
    options = {"attention_mask": constant(mask), "use_causal_mask": True}
    scored = functools.partial(attend, return_attention_scores=True, **options)
    for got, want in zip(*both_called(mine, exact, x, scored), strict=True):
        assert layer_twins.error(host(got), host(want)) <= 12


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("name", ["MaxPooling3D", "AveragePooling3D"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_volumes_are_pooled_axis_by_axis(name, padding, data_format):
    found = layer_twins.errors(
        getattr(ours, name),
        getattr(stock, name),
        case(
            (5, 6, 7, 3),
            pool_size=(2, 3, 2),
            strides=(1, 2, 2),
            padding=padding,
            data_format=data_format,
        ),
        compiled=False,
        wide="float32",
    )
    assert max(found) <= 8, found


def test_what_has_no_16_bits_is_told_in_one_line():
    refused = {
        "no 16-bit 'bicubic'": lambda: ours.UpSampling2D(
            interpolation="bicubic", dtype="float16"
        ),
        "no 16-bit renorm": lambda: ours.BatchNormalization(
            renorm=True, dtype="float16"
        ),
    }
    for words, build in refused.items():
        with pytest.raises(UserError, match=words) as caught:
            build()
        assert str(caught.value).endswith(
            "give the layer dtype='float32', which is wide."
        )
