"""Element-wise functions of images and channels in one loop."""

import numpy as np
import pytest

from keras16 import backend
from keras16.numerics import wide
from tests.close import host
from tests.traced import both, constant, of_tensorflow, traced, with_signature


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((None, 32, 32, 16), 32),
        ((None, 8, 8, 64), 8),
        ((None, 4, 4, 512), 1),
        ((None, 7, 5, 3), 35),  # all there are
        ((None, None, 8, 16), 8),
        ((None, 8, None, 16), 1),
        ((None, 10), 1),
    ],
)
def test_as_many_places_as_make_a_long_row(shape, expected):
    assert wide.places(shape) == expected


def _rule(x, slope, offset):
    return x * slope, x + offset


@both
@pytest.mark.parametrize("together", [1, 4])
def test_vectors_belong_to_columns(together, compiled):
    x = np.arange(24, dtype="float16").reshape(8, 3)
    slope, offset = np.array([[1, 2, 4], [0, 8, 16]], "float16")
    function = traced(
        lambda x, s, o: wide.by_column(_rule, (x,), (s, o), together), compiled
    )
    scaled, shifted = function(constant(x), constant(slope), constant(offset))
    assert (host(scaled) == x * slope).all()
    assert (host(shifted) == x + offset).all()


@of_tensorflow("graphs of unknown shape")
@pytest.mark.parametrize(("shape", "loops"), [((None, 8), 1), ((None, None), 0)])
def test_a_loop_is_compiled_where_only_the_number_of_examples_is_unknown(shape, loops):
    """Else each length of a sequence would be compiled anew."""
    function = with_signature(
        lambda x: backend.one_pass(_rule)(x, x, x), False, (shape, "float16")
    )
    calls = [
        node
        for node in function.get_concrete_function().graph.get_operations()
        if node.type in ("PartitionedCall", "StatefulPartitionedCall")
    ]
    assert len(calls) == loops
