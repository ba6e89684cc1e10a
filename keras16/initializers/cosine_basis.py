"""Kernels of a first convolution whose outputs are all but uncorrelated."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
from keras import ops

from keras16.errors import UserError


@keras.saving.register_keras_serializable(package="keras16")
class CosineBasis(keras.initializers.Initializer):
    """The basis of the discrete cosine transform of a patch, with both signs.

    It is orthonormal and near the principal components of patches of natural images
    (along three colours: brightness, red less blue, green less the others), whatever
    the data set. So normalized for each channel, its outputs are near to whitened
    patches, and no data is needed to draw it. The filters come from low to high
    frequencies, then all of them negated, as rectifiers want it.

    Source: Ahmed, Natarajan and Rao, Discrete cosine transform (1974), and Ohta, Kanade
        and Sakai, Color information for region segmentation (1980), for the likeness;
        Page, How to train your ResNet 8 (2019), and Jordan, arXiv 2404.00498, section
        3.2, for whitened patches in front of a net.
    """

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """A kernel.

        Args:
            shape: [*window, channels, filters].
            dtype: None takes Keras' floatx.

        Raises:
            UserError: There are more filters than two for each number of a patch.
        """
        *patch, filters = shape
        numbers = int(np.prod(patch))
        if filters > 2 * numbers:
            raise UserError(
                f"a patch of shape {tuple(patch)} has {2 * numbers} cosine filters, "
                f"signs included, not {filters}: ask for fewer."
            )
        kernel = np.concatenate([_basis(patch), -_basis(patch)], axis=-1)
        return ops.convert_to_tensor(
            kernel[..., :filters], dtype=keras.backend.standardize_dtype(dtype)
        )


def _basis(patch: list[int]) -> np.ndarray:
    """[*patch, numbers], a basis in float64, by rising frequency."""
    basis = functools.reduce(np.kron, [_cosines(size) for size in patch])
    frequencies = np.indices(patch).reshape(len(patch), -1).sum(axis=0)
    ordered = basis[np.argsort(frequencies, kind="stable")]
    return ordered.T.reshape(*patch, -1)


def _cosines(size: int) -> np.ndarray:
    """[frequency, place]: the orthonormal DCT-II of one axis."""
    places = (np.arange(size) + 0.5) / size
    waves = np.cos(np.pi * np.arange(size)[:, None] * places)
    return waves / np.sqrt((waves**2).sum(axis=1, keepdims=True))
