"""What a training step must do at least: multiplications, and numbers moved."""

from __future__ import annotations

import math
from typing import Any

# Forward and the gradient of the weights; the gradient of the inputs where some
# weights stand before them.
PASSES, PASSES_FIRST = 3, 2


def training_flops(calls: list[dict[str, Any]]) -> int:
    """Operations of the matrix products and convolutions, per example.

    A multiplication and an addition count two. Whatever is no product (normalization,
    activations, pooling, update) is left out: ceilings are those of products.

    Args:
        calls: As `architecture.calls` gives them.
    """
    trained: set[int] = set()  # tensors that depend on weights
    total = 0
    for call in calls:
        follows = bool(trained.intersection(call["inputs"]))
        total += (PASSES if follows else PASSES_FIRST) * forward_flops(call)
        if follows or call["weights"]:
            trained.add(call["output"])
    return total


def forward_flops(call: dict[str, Any]) -> int:
    """Operations of one call of a layer, forward, per example; 0 of other layers."""
    count = _COUNTS.get(call["kind"])
    if count is None or None in call["output_shape"]:
        return 0
    return 2 * count(call["config"], call["input_shapes"][0], call["output_shape"])


def activations(calls: list[dict[str, Any]]) -> int:
    """Numbers that the layers put out, per example."""
    shapes = (call["output_shape"] for call in calls)
    return sum(math.prod(shape) for shape in shapes if None not in shape)


def _dense(config: dict[str, Any], given: list[int], out: list[int]) -> int:
    return given[-1] * math.prod(out)


def _convolution(config: dict[str, Any], given: list[int], out: list[int]) -> int:
    kernel = math.prod(config["kernel_size"])
    return kernel * given[-1] // config.get("groups", 1) * math.prod(out)


def _transposed(config: dict[str, Any], given: list[int], out: list[int]) -> int:
    return math.prod(config["kernel_size"]) * out[-1] * math.prod(given)


def _depthwise(config: dict[str, Any], given: list[int], out: list[int]) -> int:
    return math.prod(config["kernel_size"]) * math.prod(out)


def _separable(config: dict[str, Any], given: list[int], out: list[int]) -> int:
    middle = given[-1] * config["depth_multiplier"]
    places = math.prod(out[:-1])
    return places * middle * (math.prod(config["kernel_size"]) + out[-1])


_COUNTS = {
    "Dense": _dense,
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D"), _convolution),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose"), _transposed),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _depthwise),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _separable),
}
