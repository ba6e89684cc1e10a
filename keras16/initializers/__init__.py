"""Initial weights: Keras' own initializers, drawn in float32 on the host, then cast.

`keras16.use` and `keras16.convert` draw in float32 and cast, so that a seed means
the same weights at every precision. Nothing is drawn inside a training step, so
all of Keras' are good as they are; they stand here for completeness. `Dirac` and
`CosineBasis` are our own, for kernels of convolutions.
"""

from keras.initializers import (
    STFT,
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Identity,
    LecunNormal,
    LecunUniform,
    Ones,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
    get,
)

from keras16.initializers.cosine_basis import CosineBasis
from keras16.initializers.dirac import Dirac

__all__ = [
    "STFT",
    "Constant",
    "CosineBasis",
    "Dirac",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "get",
]
