"""Data sets: every form, every error in one line, and splits that never change."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import pytest

from keras16 import data
from keras16.data import Dataset
from keras16.errors import UserError

RANDOM = np.random.RandomState(0)
PIXELS = RANDOM.randint(0, 256, (8, 4, 4, 1)).astype(np.uint8)
FLOATS = RANDOM.normal(size=(8, 3)).astype(np.float32)
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1])


def make(x=PIXELS, y=LABELS, x_test=None, y_test=None, **more) -> Dataset:
    x_test = x if x_test is None else x_test
    y_test = y if y_test is None else y_test
    return Dataset("digits", "a test", x, y, x_test, y_test, **more)


def many(counts: list[int]) -> Dataset:
    y = np.repeat(np.arange(len(counts)), counts)
    return data.checked(make(np.zeros((len(y), 2), np.uint8), y))


def refusal(call, *args) -> str:
    """The text of the UserError, which must be one line and say what to do."""
    with pytest.raises(UserError) as caught:
        call(*args)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 500
    return text


# What data must hold to


def test_checked_fills_in_what_is_missing():
    dataset = data.checked(make())
    assert dataset.classes == 3
    assert dataset.class_names == ("0", "1", "2")
    assert dataset.y_train.dtype == np.int32
    assert dataset.input_shape == (4, 4, 1)
    assert dataset.is_pixels


def test_images_get_a_channel_axis():
    assert data.checked(make(PIXELS[..., 0])).input_shape == (4, 4, 1)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.array([[0, 255]] * 8), np.uint8),
        (np.array([[True, False]] * 8), np.uint8),
        (np.array([[0, 256]] * 8), np.float32),
        (np.array([[-1, 5]] * 8, np.int8), np.float32),
        (FLOATS.astype(np.float16), np.float16),
        (FLOATS, np.float32),
        (FLOATS.astype(np.float64), np.float64),
        (FLOATS.astype(">f4"), np.float32),
        (FLOATS.astype(np.longdouble), np.float64),
    ],
)
def test_dtype_of_x(given, expected):
    x = data.checked(make(given)).x_train
    assert x.dtype == expected
    assert x.dtype.isnative
    np.testing.assert_array_equal(x, given.astype(expected))


def test_integers_are_pixels_only_if_both_parts_are():
    small, large = np.full((8, 2), 7), np.full((8, 2), 300)
    dataset = data.checked(make(small, LABELS, large))
    assert dataset.x_train.dtype == dataset.x_test.dtype == np.float32


@pytest.mark.parametrize(
    "y",
    [
        LABELS.reshape(-1, 1),
        LABELS.astype(np.float32),
        LABELS.astype(np.uint8),
        np.eye(3)[LABELS],
        LABELS.tolist(),
    ],
)
def test_labels_become_ids(y):
    dataset = data.checked(make(y=y))
    assert dataset.y_train.dtype == np.int32
    np.testing.assert_array_equal(dataset.y_train, LABELS)


def test_one_hot_columns_count_as_classes():
    assert data.checked(make(y=np.eye(5)[LABELS])).classes == 5


def test_labels_of_the_test_part_alone_are_allowed():
    assert data.checked(make(y_test=LABELS + 2)).classes == 5


def test_class_names_count_the_classes():
    dataset = data.checked(make(class_names=("a", "b", "c", "d")))
    assert dataset.classes == 4


def test_largest_float16_is_allowed():
    data.checked(make(np.full((8, 2), 65504.0)))


BIG = FLOATS * 1e6
BROKEN = FLOATS.copy()
BROKEN[5, 1] = np.nan
INFINITE = FLOATS.astype(np.float16)
INFINITE[2, 0] = np.inf


@pytest.mark.parametrize(
    ("dataset", "wrong", "remedy"),
    [
        (make(PIXELS[:7]), "x_train has 7 examples and y_train 8", "one label for"),
        (make(x_test=PIXELS[:7]), "x_test has 7 examples and y_test 8", "one label"),
        (make(PIXELS[:0], LABELS[:0]), "x_train holds no example", "at least one"),
        (make(x_test=PIXELS[:0]), "x_test holds no example", "at least one"),
        (make(np.float32(3)), "x_train holds no example", "at least one"),
        (make([[1, 2], [3]]), "x_train can't be read", "the same shape"),
        (make(np.array([["a"]] * 8)), "x_train is text", "give numbers"),
        (make(np.array([[None]] * 8)), "x_train is of dtype object", "give numbers"),
        (make(FLOATS * 1j), "x_train is of dtype complex", "give numbers"),
        (make(FLOATS[:, 0]), "shape (8,)", "[examples, features]"),
        (make(PIXELS[:, None]), "shape (8, 1, 4, 4, 1)", "[examples, features]"),
        (make(PIXELS[:, :0]), "shape (8, 0, 4, 1)", "no axis may be empty"),
        (make(np.zeros((8, 3, 5, 5))), "channels first", "np.moveaxis(x, 1, -1)"),
        (make(x_test=PIXELS[:, 1:]), "(4, 4, 1) and one of x_test (3, 4, 1)", "same"),
        (make(x_test=PIXELS / 255), "uint8 and x_test float64", "the same way"),
        (make(BROKEN), "first in example 5", "fill the gaps"),
        (make(INFINITE), "first in example 2", "fill the gaps"),
        (make(FLOATS, x_test=BROKEN), "x_test holds NaN", "fill the gaps"),
        (make(np.full((8, 2), -7e4)), "reaches 70,000", "divide the data"),
        (make(np.full((8, 2), 70000)), "reaches 70,000", "divide the data"),
        (make(np.full((8, 2), 5e-8)), "is 5e-08", "scale the data up"),
        (make(y=LABELS - 1), "label -1 (y_train[0])", "0, 1, 2"),
        (make(y=LABELS + 0.5), "label 0.5 (y_train[0])", "0, 1, 2"),
        (make(y=LABELS * np.nan), "label nan (y_train[0])", "0, 1, 2"),
        (make(y=LABELS + 2**31), "label 2147483648 (y_train[0])", "0, 1, 2"),
        (make(y=LABELS * 100), "largest label is 200", "np.unique"),
        (make(y=LABELS, classes=2), "label 2 (y_train[2])", "renumber"),
        (make(y_test=LABELS + 1, classes=3), "label 3 (y_test[2])", "renumber"),
        (make(y=[str(label) for label in LABELS]), "y_train is text", "np.unique"),
        (make(y=np.eye(3)[LABELS] * 0.9), "not one-hot", "one class id"),
        (make(y=np.zeros((8, 2, 2))), "not one-hot", "one class id"),
        (make(y=LABELS * 0), "one class only", "two or more"),
        (make(classes=4, class_names=("a", "b")), "2 names for 4 classes", "one each"),
    ],
)
def test_refused(dataset, wrong, remedy):
    text = refusal(data.checked, dataset)
    assert text.startswith("data set digits: ")
    assert wrong in text
    assert remedy in text


# The split and the statistics


def test_digest_sees_values_shapes_and_dtypes():
    dataset = data.checked(make())
    changed = dataset.x_train.copy()
    changed[0, 0, 0, 0] ^= 1
    others = [
        dataclasses.replace(dataset, x_train=changed),
        dataclasses.replace(dataset, x_train=dataset.x_train.reshape(8, 2, 8, 1)),
        dataclasses.replace(dataset, y_train=dataset.y_train.astype(np.int64)),
    ]
    digests = {dataset.digest} | {other.digest for other in others}
    assert len(digests) == 4
    assert all(len(digest) == 16 for digest in digests)
    assert data.checked(make()).digest == dataset.digest


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_hold_out_is_stratified(share):
    dataset = many([40, 80, 20, 200])
    kept, taken = data.hold_out(dataset, share, seed=3)
    np.testing.assert_array_equal(np.sort(np.r_[kept, taken]), np.arange(340))
    expected = np.bincount(dataset.y_train) * share
    np.testing.assert_array_equal(np.bincount(dataset.y_train[taken]), expected)


def test_hold_out_is_the_same_for_ever():
    kept, taken = data.hold_out(many([10, 6, 4]), 0.3, seed=7)
    assert taken.tolist() == [3, 4, 6, 11, 12, 18]
    assert kept.dtype == taken.dtype == np.int64


def test_hold_out_depends_on_the_seed():
    dataset = many([40, 40])
    first, again, other = (data.hold_out(dataset, 0.2, seed)[1] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_hold_out_total_is_right_with_small_classes():
    dataset = many([4] * 25)  # a tenth of each class alone would round to 0
    kept, taken = data.hold_out(dataset, 0.1, seed=0)
    assert len(taken) == 10
    assert np.bincount(dataset.y_train[taken]).max() == 1


def test_hold_out_leaves_each_class_an_example():
    dataset = many([1, 1, 20])
    kept, taken = data.hold_out(dataset, 0.5, seed=0)
    assert len(taken) == 11
    assert set(dataset.y_train[kept]) == {0, 1, 2}


def test_hold_out_of_nothing_and_of_little():
    kept, taken = data.hold_out(many([5, 5]), 0, seed=0)
    assert (len(kept), len(taken)) == (10, 0)
    assert len(data.hold_out(many([5, 5]), 0.001, seed=0)[1]) == 1


def test_hold_out_does_not_depend_on_x():
    pixels, floats = data.checked(make()), data.checked(make(FLOATS))
    for one, other in zip(
        data.hold_out(pixels, 0.4, 0), data.hold_out(floats, 0.4, 0), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("share", [-0.1, 1.0, 2, float("nan")])
def test_hold_out_refuses_a_share(share):
    assert "[0, 1)" in refusal(data.hold_out, many([5, 5]), share, 0)


def test_hold_out_refuses_to_take_all():
    assert "smaller share" in refusal(data.hold_out, many([5, 5]), 0.99, 0)
    assert "negative" in refusal(data.hold_out, many([5, 5]), 0.1, -1)


@pytest.mark.parametrize("shape", [(5000, 3, 5, 3), (5000, 6)])
def test_standardization_against_float64(shape):
    x = RANDOM.randint(0, 256, shape).astype(np.uint8)
    x[..., 1] = 255  # a constant channel
    dataset = data.checked(make(x, np.arange(5000) % 7))
    indices, _ = data.hold_out(dataset, 0.1, 0)
    mean, deviation = data.standardization(dataset, indices)
    used = x[indices].astype(np.float64).reshape(-1, shape[-1])
    used = used if len(shape) == 4 else x[indices].astype(np.float64)
    expected = used.std(axis=0)
    expected[1] = 1
    np.testing.assert_allclose(mean, used.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(deviation, expected, rtol=1e-12)
    assert mean.dtype == deviation.dtype == np.float64


def test_standardization_keeps_rare_pixels_in_range():
    x = np.zeros((100_000, 1), np.uint8)
    x[0] = 1
    dataset = data.checked(make(x, np.arange(len(x)) % 2))
    mean, deviation = data.standardization(dataset, np.arange(len(x)))
    assert np.sqrt(1e-5) < deviation[0]
    assert (255 - mean[0]) / deviation[0] < 65504


def test_standardization_takes_floats_as_they_are():
    mean, deviation = data.standardization(data.checked(make(FLOATS)), np.arange(8))
    np.testing.assert_array_equal(mean, [0, 0, 0])
    np.testing.assert_array_equal(deviation, [1, 1, 1])


# Names


@pytest.mark.parametrize("name", ["mnsit", "nowhere/at/all", "", "mnist.tar"])
def test_unknown_names_list_all_forms(name):
    text = refusal(data.load, name)
    for form in ("mnist5k", "cifar100", "FILE.npz", "FILE.py:function", "a folder"):
        assert form in text


def test_a_near_name_is_suggested():
    assert "did you mean 'mnist'" in refusal(data.load, "mnsit")


def test_a_file_of_another_kind(tmp_path):
    (tmp_path / "digits.csv").write_text("1,2\n")
    text = refusal(data.load, str(tmp_path / "digits.csv"))
    assert "digits.csv is no data set" in text
    assert "FILE.npz" in text


def test_a_file_without_its_function():
    assert "FILE.py:function" in refusal(data.load, "digits.py")


# FILE.npz


def saved(path: pathlib.Path, **changes) -> str:
    arrays = {
        "x_train": PIXELS,
        "y_train": LABELS,
        "x_test": PIXELS[:3],
        "y_test": LABELS[:3],
    }
    arrays |= changes
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return str(path)


def test_npz(tmp_path):
    dataset = data.load(saved(tmp_path / "digits.npz", class_names=["a", "b", "c"]))
    assert dataset.name == "digits"
    assert dataset.class_names == ("a", "b", "c")
    assert len(dataset.x_test) == 3
    np.testing.assert_array_equal(dataset.x_train, PIXELS)


def test_npz_refused(tmp_path):
    path = tmp_path / "digits.npz"
    assert "there is no file" in refusal(data.load, str(path))
    text = refusal(data.load, saved(path, x_test=None, y_test=None))
    assert "lacks x_test, y_test" in text
    assert "np.savez" in text
    text = refusal(data.load, saved(path, x_train=np.array([{}] * 8)))
    assert "x_train" in text
    assert "Python objects" in text
    assert "plain array" in text


@pytest.mark.parametrize("part", [0, 1, 10, 300, 900])
def test_npz_cut_short(tmp_path, part):
    path = tmp_path / "digits.npz"
    saved(path)
    path.write_bytes(path.read_bytes()[:part])
    assert "damaged" in refusal(data.load, str(path))


def test_npz_with_a_flipped_byte(tmp_path):
    path = tmp_path / "digits.npz"
    saved(path)
    content = bytearray(path.read_bytes())
    content[content.index(PIXELS.tobytes()) + 3] ^= 1
    path.write_bytes(content)
    text = refusal(data.load, str(path))
    assert "x_train" in text
    assert "damaged" in text


def test_npz_that_is_another_file(tmp_path):
    path = tmp_path / "digits.npz"
    with path.open("wb") as file:
        np.save(file, PIXELS)
    assert "one bare array" in refusal(data.load, str(path))
    path.write_text("hi")
    text = refusal(data.load, str(path))
    assert "its format is unknown" in text  # NumPy: "load it unsafely"
    assert "unsafe" not in text


# FILE.py:function

RETURNS = """
import numpy as np
x, y = np.arange(24.0).reshape(8, 3), np.arange(8) % 2
def pairs():
    print("on standard error")
    return (x, y), [x[:2], y[:2]]
def names():
    return dict(x_train=x, y_train=y, x_test=x, y_test=y, class_names=["a", "b"])
def pipelines():
    import tensorflow as tf
    pipeline = tf.data.Dataset.from_tensor_slices((x, y))
    return pipeline, pipeline.batch(3)
def one_hot():
    import tensorflow as tf
    pipeline = tf.data.Dataset.from_tensor_slices((x, np.eye(2)[y]))
    return pipeline, pipeline.batch(3)
def generator():
    import tensorflow as tf
    signature = tf.TensorSpec((3,)), tf.TensorSpec((), tf.int32)
    pipeline = tf.data.Dataset.from_generator(
        lambda: zip(x, y), output_signature=signature)
    return pipeline, pipeline
def endless():
    train, test = pipelines()
    return train.repeat(), test
def pictures():
    train, test = pipelines()
    return train.map(lambda x, y: {"image": x, "label": y}), test
def empty():
    train, test = pipelines()
    return train.take(0), test
def breaks():
    import tensorflow as tf
    train, test = pipelines()
    return train.map(lambda x, y: (tf.debugging.check_numerics(1 / x, "oh"), y)), test
def lacks():
    return dict(x_train=x)
def number():
    return 3
def odd():
    return x, y
"""


@pytest.fixture
def functions(tmp_path) -> str:
    (tmp_path / "mine.py").write_text(RETURNS)
    return f"{tmp_path}/mine.py"


@pytest.mark.parametrize(
    "function", ["pairs", "names", "pipelines", "one_hot", "generator"]
)
def test_function(functions, function, capsys):
    dataset = data.load(f"{functions}:{function}")
    np.testing.assert_array_equal(dataset.x_train, np.arange(24.0).reshape(8, 3))
    np.testing.assert_array_equal(dataset.y_train, np.arange(8) % 2)
    assert len(dataset.x_test) in (2, 8)
    assert dataset.name == f"mine.{function}"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("function", "wrong", "remedy"),
    [
        ("endless", "never ends", ".take(N)"),
        ("pictures", "(x, y) pairs", "as_supervised=True"),
        ("empty", "gives no example", "train pipeline"),
        ("breaks", "oh : Tensor had Inf", "in breaks()"),
        ("lacks", "lacks y_train, x_test, y_test", "must hold"),
        ("number", "returns a int", "((x_train, y_train)"),
        ("odd", "returns a ndarray", "((x_train, y_train)"),
    ],
)
def test_function_refused(functions, function, wrong, remedy):
    text = refusal(data.load, f"{functions}:{function}")
    assert wrong in text
    assert remedy in text


def test_a_pipeline_of_unknown_length_is_bounded(functions, monkeypatch):
    from keras16.datasets import _function

    monkeypatch.setattr(_function, "LARGEST_BYTES", 100)
    assert ".take(N)" in refusal(data.load, f"{functions}:generator")


# A folder of images


def draw(folder: pathlib.Path, name: str, mode: str = "L", size=(5, 4), ending="png"):
    from PIL import Image

    channels = {"L": (), "RGB": (3,), "RGBA": (4,), "I;16": ()}[mode]
    dtype = np.uint16 if mode == "I;16" else np.uint8
    pixels = RANDOM.randint(0, 256, (size[1], size[0], *channels)).astype(dtype)
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / f"{name}.{ending}")
    return pixels


def test_images_by_class(tmp_path):
    drawn = {
        name: [draw(tmp_path / name, str(i)) for i in range(10)]
        for name in ("dog", "cat")
    }
    (tmp_path / ".git").mkdir()
    (tmp_path / "cat" / ".DS_Store").write_text("")
    dataset = data.load(str(tmp_path))
    assert dataset.class_names == ("cat", "dog")
    assert dataset.x_train.shape == (16, 4, 5, 1)
    assert np.bincount(dataset.y_test).tolist() == [2, 2]
    assert "stratified 20 %" in dataset.source
    assert data.load(str(tmp_path)).digest == dataset.digest
    for x, y in zip(dataset.x_train, dataset.y_train, strict=True):
        name = dataset.class_names[y]
        assert any(np.array_equal(x[..., 0], picture) for picture in drawn[name])


@pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "bmp", "gif", "webp"])
def test_image_formats(tmp_path, ending):
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            draw(tmp_path / part / name, "one", "RGB", ending=ending)
    dataset = data.load(str(tmp_path))
    assert dataset.x_train.shape == dataset.x_test.shape == (2, 4, 5, 3)
    assert dataset.y_train.tolist() == dataset.y_test.tolist() == [0, 1]


def test_gray_among_colour_becomes_colour(tmp_path):
    gray = draw(tmp_path / "train" / "cat", "one", "L")
    colour = draw(tmp_path / "train" / "dog", "one", "RGBA")
    draw(tmp_path / "test" / "cat", "one", "L")
    draw(tmp_path / "test" / "dog", "one", "L")
    x = data.load(str(tmp_path)).x_train
    np.testing.assert_array_equal(x[0], np.repeat(gray[..., None], 3, axis=-1))
    np.testing.assert_array_equal(x[1], colour[..., :3])


def test_images_refused(tmp_path):
    assert "sub-folder" in refusal(data.load, str(tmp_path))
    draw(tmp_path / "cat", "one")
    (tmp_path / "dog").mkdir()
    text = refusal(data.load, str(tmp_path))
    assert "dog holds no image" in text
    draw(tmp_path / "dog", "two", size=(6, 4))
    text = refusal(data.load, str(tmp_path))
    assert "one.png is 5 x 4" in text
    assert "two.png 6 x 4" in text
    assert "resize" in text


@pytest.mark.parametrize("size", [0, 20, 60])
def test_a_damaged_image_is_named(tmp_path, size):
    draw(tmp_path / "cat", "one")
    draw(tmp_path / "dog", "two")
    path = tmp_path / "dog" / "two.png"
    path.write_bytes(path.read_bytes()[:size])
    text = refusal(data.load, str(tmp_path))
    assert "two.png is damaged" in text
    assert "replace or remove" in text


def test_deep_images_are_refused(tmp_path):
    draw(tmp_path / "cat", "one", "I;16")
    draw(tmp_path / "dog", "two", "I;16")
    assert "convert the images to 8 bits" in refusal(data.load, str(tmp_path))


def test_train_and_test_must_agree(tmp_path):
    for name in ("cat", "dog"):
        draw(tmp_path / "train" / name, "one")
    text = refusal(data.load, str(tmp_path))
    assert "has train/ and no test/" in text
    for name in ("cat", "cow"):
        draw(tmp_path / "test" / name, "one")
    text = refusal(data.load, str(tmp_path))
    assert "class 'cow'" in text
    assert "the same classes" in text
