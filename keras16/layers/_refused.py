"""Keras' layers that have no 16-bit twin, and why.

The audit finds what they widen; this table says what to do instead.
"""

from __future__ import annotations

_AUGMENTATION = (
    "it changes examples, not activations, and computes in float32: take it out of the "
    "net and put it into the input pipeline, there with dtype='float32'"
)
_PIPELINE = (
    "it turns raw data into numbers, on the host: put it into the input pipeline"
)
_FOREIGN = "what it wraps is another framework's, in the dtypes that that one chooses"
ABSTRACT = "it computes nothing of its own"

REFUSED: dict[str, str] = {
    **dict.fromkeys(
        (
            "AugMix",
            "AutoContrast",
            "ContrastLimitedAdaptiveHistogramEqualization",
            "CutMix",
            "Equalization",
            "MaxNumBoundingBoxes",
            "MixUp",
            "RandAugment",
            "RandomBrightness",
            "RandomColorDegeneration",
            "RandomColorJitter",
            "RandomContrast",
            "RandomCrop",
            "RandomElasticTransform",
            "RandomErasing",
            "RandomFlip",
            "RandomGaussianBlur",
            "RandomGrayscale",
            "RandomHue",
            "RandomInvert",
            "RandomPerspective",
            "RandomPosterization",
            "RandomRotation",
            "RandomSaturation",
            "RandomSharpness",
            "RandomShear",
            "RandomTranslation",
            "RandomZoom",
            "Resizing",
            "Solarization",
        ),
        _AUGMENTATION,
    ),
    **dict.fromkeys(
        (
            "CategoryEncoding",
            "Discretization",
            "HashedCrossing",
            "Hashing",
            "IntegerLookup",
            "MelSpectrogram",
            "STFTSpectrogram",
            "StringLookup",
            "TextVectorization",
        ),
        _PIPELINE,
    ),
    **dict.fromkeys(
        ("FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"), _FOREIGN
    ),
    **dict.fromkeys(
        ("InputLayer", "InputSpec", "Layer", "Pipeline", "Wrapper"), ABSTRACT
    ),
}
