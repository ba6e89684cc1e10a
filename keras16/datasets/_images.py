"""A folder of images: `CLASS/*`, or `train/CLASS/*` and `test/CLASS/*`."""

from __future__ import annotations

import concurrent.futures
import itertools
import pathlib
from typing import NamedTuple

import numpy as np

from keras16.data import Dataset, split
from keras16.errors import UserError
from keras16.study import short_name

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
GRAY_MODES = ("1", "L", "LA", "La")
TEST_SHARE, TEST_SEED = 0.2, 0  # fixed: a test set doesn't change with the run


class _Header(NamedTuple):
    path: pathlib.Path
    size: tuple[int, int]  # width, height
    gray: bool


def read(folder: pathlib.Path) -> Dataset:
    """Reads every image by class; the classes are the sub-folders, sorted by name.

    All images must be of one size. They become uint8 with one channel if all are
    gray and three if any has colour; transparency is dropped, and of an animation
    the first picture counts.

    Raises:
        UserError: No classes, an empty one, sizes that differ, a damaged image, or
            train/ and test/ with different classes.
    """
    if _is_split(folder):
        train, test = _by_class(folder / "train"), _by_class(folder / "test")
        _refuse_other_classes(folder, train, test)
        x, y = _arrays(_join(train, test))
        count = sum(map(len, train.values()))
        kept, taken = np.arange(count), np.arange(count, len(y))
        source = f"images in {folder}, train/ and test/"
    else:
        train = _by_class(folder)
        x, y = _arrays(_join(train))
        kept, taken = split(y, TEST_SHARE, TEST_SEED)
        source = (
            f"images in {folder}; the test set is a stratified 20 % of them, the "
            "same one whatever the run's seed"
        )
    return Dataset(
        short_name(folder.resolve().name),
        source,
        *(x[kept], y[kept], x[taken], y[taken]),
        class_names=tuple(train),
    )


def files(folder: pathlib.Path) -> list[pathlib.Path]:
    """All images that `read` reads, whether or not it refuses them; sorted."""
    parts = [folder / "train", folder / "test"]
    roots = parts if all(part.is_dir() for part in parts) else [folder]
    classes = (path for root in roots for path in _folders(root))
    return sorted(image for path in classes for image in _images(path))


def _is_split(folder: pathlib.Path) -> bool:
    train, test = (folder / "train").is_dir(), (folder / "test").is_dir()
    if train != test and _folders(folder / ("train" if train else "test")):
        there, lacking = ("train", "test") if train else ("test", "train")
        raise UserError(
            f"{folder} has {there}/ and no {lacking}/: add it, or give {folder}/{there}"
            " itself, of which a fifth then is the test set."
        )
    return train and test


def _folders(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith((".", "__"))
    )


def _by_class(folder: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """Image files of each sub-folder, both in the order of their names."""
    classes = {path.name: _images(path) for path in _folders(folder)}
    if len(classes) < 2:
        raise UserError(
            f"{folder} has {len(classes)} sub-folders: put the images of each class "
            "into a sub-folder of its own, two or more."
        )
    for name, images in classes.items():
        if not images:
            raise UserError(
                f"{folder / name} holds no image ({' '.join(ENDINGS)}): add some, or "
                "remove the folder."
            )
    return classes


def _images(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in ENDINGS and not path.name.startswith(".")
    )


def _refuse_other_classes(
    folder: pathlib.Path, train: dict[str, list], test: dict[str, list]
) -> None:
    for name in sorted(set(train) ^ set(test)):
        there, lacking = ("train", "test") if name in train else ("test", "train")
        raise UserError(
            f"class {name!r} is in {folder / there} and not in {folder / lacking}: "
            "give both the same classes."
        )


def _join(
    *parts: dict[str, list[pathlib.Path]],
) -> tuple[list[pathlib.Path], np.ndarray]:
    """All files, part after part, with their class ids."""
    labelled = [
        (path, label)
        for part in parts
        for label, images in enumerate(part.values())
        for path in images
    ]
    paths, labels = zip(*labelled, strict=True)
    return list(paths), np.array(labels, np.int32)


def _arrays(
    files: tuple[list[pathlib.Path], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Headers first: nothing is decoded before all sizes are known to agree."""
    paths, labels = files
    with concurrent.futures.ThreadPoolExecutor() as threads:
        headers = list(threads.map(_header, paths))
        _refuse_other_sizes(headers)
        mode = "L" if all(header.gray for header in headers) else "RGB"
        width, height = headers[0].size
        x = np.empty(
            (len(paths), height, width, len(mode) if mode == "RGB" else 1), "u1"
        )
        for row, pixels in zip(
            x, threads.map(_pixels, paths, itertools.repeat(mode)), strict=True
        ):
            row[...] = pixels.reshape(row.shape)
    return x, labels


def _header(path: pathlib.Path) -> _Header:
    from PIL import Image

    try:
        with Image.open(path) as image:
            mode, size = image.mode, image.size
    except Exception as error:  # Pillow's decoders raise nearly anything
        raise _damaged(path) from error
    if mode.startswith(("I", "F")):
        raise UserError(
            f"{path} has more than 8 bits a channel: convert the images to 8 bits."
        )
    return _Header(path, size, mode in GRAY_MODES)


def _pixels(path: pathlib.Path, mode: str) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert(mode))
    except Exception as error:  # as above
        raise _damaged(path) from error


def _damaged(path: pathlib.Path) -> UserError:
    return UserError(f"{path} is damaged or no image: replace or remove the file.")


def _refuse_other_sizes(headers: list[_Header]) -> None:
    first = headers[0]
    for other in headers:
        if other.size != first.size:
            raise UserError(
                f"{first.path} is {_size(first)} pixels and {other.path} "
                f"{_size(other)}: resize all images to one size."
            )


def _size(header: _Header) -> str:
    return f"{header.size[0]} x {header.size[1]}"
