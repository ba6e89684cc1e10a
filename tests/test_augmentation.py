"""Flips and shifts: drawn from the seed alone, pixels moved and never computed."""

import keras
import numpy as np
import pytest

from keras16 import augmentation
from keras16.errors import UserError

IMAGES = np.random.default_rng(0).integers(1, 255, (6, 9, 7, 3), "uint8")
DRAWS = np.array(
    [[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, -2, 3], [1, 4, -4], [1, -1, 1]], "int32"
)


def moved(image, draw):
    """What `apply` does, one pixel at a time."""
    flip, down, right = draw
    image = image[:, ::-1] if flip else image
    result = np.zeros_like(image)
    height, width = image.shape[:2]
    for row in range(height):
        for column in range(width):
            from_row, from_column = row - down, column - right
            if 0 <= from_row < height and 0 <= from_column < width:
                result[row, column] = image[from_row, from_column]
    return result


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_images_are_moved_pixel_by_pixel(dtype):
    images = IMAGES.astype(dtype)
    result = keras.ops.convert_to_numpy(augmentation.apply("flip_shift", images, DRAWS))
    assert result.dtype == images.dtype
    expected = np.stack([moved(*pair) for pair in zip(images, DRAWS, strict=True)])
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("none", []),
        ("flip", [0]),
        ("shift", [1, 2]),
        ("shift2", [1, 2]),
        ("flip_shift2", [0, 1, 2]),
    ],
)
def test_each_name_does_what_it_says_and_no_more(name, kept):
    only = np.zeros_like(DRAWS)
    only[:, kept] = DRAWS[:, kept]
    result = augmentation.apply(name, IMAGES, DRAWS)
    expected = np.stack([moved(*pair) for pair in zip(IMAGES, only, strict=True)])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(result), expected)


def test_draws_come_from_the_seed():
    draws = augmentation.draw("flip_shift", 20_000, 3)
    assert draws.shape == (20_000, 3) and draws.dtype == np.int32
    np.testing.assert_array_equal(draws, augmentation.draw("flip_shift", 20_000, 3))
    assert not np.array_equal(draws, augmentation.draw("flip_shift", 20_000, 4))
    assert draws[:, 0].mean() == pytest.approx(0.5, abs=0.02)
    assert set(draws[:, 0]) == {0, 1}
    assert set(draws[:, 1]) == set(draws[:, 2]) == set(range(-4, 5))

    near = augmentation.draw("flip_shift2", 20_000, 3)
    np.testing.assert_array_equal(near[:, 0], draws[:, 0])
    assert set(near[:, 1]) == set(near[:, 2]) == set(range(-2, 3))


def test_what_is_not_asked_for_is_not_drawn():
    assert not augmentation.draw("none", 100, 0).any()
    assert not augmentation.draw("flip", 100, 0)[:, 1:].any()
    assert not augmentation.draw("shift", 100, 0)[:, 0].any()
    assert not augmentation.draw("shift2", 100, 0)[:, 0].any()


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("cutout", (28, 28, 1), "there are none, flip, shift, flip_shift"),
        ("flip", (20,), r"not inputs of shape \(20,\): use --augmentation none"),
        ("shift", (4, 28, 1), "more than 4 pixels"),
        ("flip_shift2", (28, 2, 1), "more than 2 pixels"),
    ],
)
def test_what_the_inputs_do_not_allow_is_refused(name, shape, words):
    with pytest.raises(UserError, match=words):
        augmentation.check(name, shape)


def test_no_augmentation_takes_any_inputs():
    augmentation.check("none", (20,))
    augmentation.check("flip_shift", (5, 5, 1))
    augmentation.check("flip_shift2", (3, 3, 1))
