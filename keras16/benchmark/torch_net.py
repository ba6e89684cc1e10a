"""A Keras net in PyTorch, layer by layer, from the list that `architecture` wrote.

Images are [batch, channels, height, width] here, as PyTorch wants them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from keras16.errors import UserError

Arrays = Mapping[str, np.ndarray]
Call = dict[str, Any]

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "linear": lambda x: x,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "elu": functional.elu,
    "selu": functional.selu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "swish": functional.silu,
    "softplus": functional.softplus,
    "hard_sigmoid": functional.hardsigmoid,
    "hard_silu": functional.hardswish,
    "hard_swish": functional.hardswish,
    "softmax": lambda x: functional.softmax(x, 1),
}


class Net(nn.Module):
    """The calls of a net, one after another.

    Args:
        graph: As `architecture.calls` gives it.
        weights: Arrays by the keys in the graph.

    Raises:
        UserError: A layer has no translation; the text names it.
    """

    def __init__(self, graph: Mapping[str, Any], weights: Arrays) -> None:
        super().__init__()
        self.source, self.result = graph["input"], graph["output"]
        self.steps = [(call["inputs"], call["output"]) for call in graph["calls"]]
        orders = _Orders()
        first: dict[str, nn.Module] = {}
        modules = []
        for call in graph["calls"]:
            modules.append(translated(call, weights, orders))
            shared = first.setdefault(str(call["weights"]), modules[-1])
            if call["weights"]:
                _share(shared, modules[-1])
        self.layers = nn.ModuleList(modules)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits [batch, classes] of inputs [batch, ...], images channels first."""
        values = {self.source: x}
        for (inputs, output), layer in zip(self.steps, self.layers, strict=True):
            values[output] = layer(*(values[each] for each in inputs))
        return values[self.result]


def _share(first: nn.Module, again: nn.Module) -> None:
    """Gives a layer that is called once more the weights of its first call."""
    for name, parameter in first.named_parameters():
        path, _, own = name.rpartition(".")
        setattr(again.get_submodule(path), own, parameter)


class _Orders:
    """Which tensors are flattened images, whose features lie in another order here."""

    def __init__(self) -> None:
        self.of: dict[int, np.ndarray] = {}

    def flattened(self, call: Call) -> None:
        shape = call["input_shapes"][0]
        if len(shape) == 3:
            places = np.arange(math.prod(shape)).reshape(shape)
            self.of[call["output"]] = places.transpose(2, 0, 1).ravel()

    def passed_on(self, call: Call) -> None:
        (source,) = call["inputs"]
        if source in self.of:
            self.of[call["output"]] = self.of[source]

    def rows(self, call: Call, array: np.ndarray) -> np.ndarray:
        """The array with its first axis as the features of the call's input lie."""
        order = self.of.get(call["inputs"][0])
        return array if order is None else array[order]


def translated(call: Call, weights: Arrays, orders: _Orders) -> nn.Module:
    """One layer in PyTorch, with its weights.

    Raises:
        UserError: It has no translation.
    """
    make = TRANSLATIONS.get(call["kind"])
    own = {name: weights[key] for name, key in call["weights"].items()}
    if call["kind"] in ELEMENTWISE:
        orders.passed_on(call)
    elif (
        call["kind"] not in FOLLOW_ORDER
        and orders.of.get(call["inputs"][0]) is not None
    ):
        raise _refusal(call, "after a Flatten of images")
    if make is None:
        raise _refusal(call, f"{call['kind']} has no translation")
    config = call["config"]
    if config.get("data_format", "channels_last") not in (None, "channels_last"):
        raise _refusal(call, "channels first")
    layer = make(call, config, own, orders)
    activation = config.get("activation")
    if activation in (None, "linear") or call["kind"] == "Activation":
        return layer
    return nn.Sequential(layer, Function(_activation(call, activation)))


class Function(nn.Module):
    """A function as a layer."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        """What the function gives."""
        return self.function(*inputs)


class Scaled(nn.Module):
    """x * scale + offset in the dtype of the net; pixels are cast first."""

    def __init__(self, scale: np.ndarray, offset: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("scale", torch.from_numpy(scale))
        self.register_buffer("offset", torch.from_numpy(offset))

    def forward(self, x: Any) -> Any:
        """Of the shape of x."""
        return x.to(self.scale.dtype) * self.scale + self.offset


def _refusal(call: Call, reason: str) -> UserError:
    return UserError(f"layer {call['name']}: {reason} in PyTorch.")


def _activation(call: Call, name: Any) -> Callable[[Any], Any]:
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise _refusal(call, f"activation {name} has no translation")
    return ACTIVATIONS[name]


def _tensor(array: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.ascontiguousarray(array)))


def _dense(call: Call, config: Any, own: Arrays, orders: _Orders) -> nn.Module:
    if len(call["input_shapes"][0]) != 1:
        raise _refusal(call, "Dense on more than one axis has no translation")
    kernel = orders.rows(call, own["kernel"])
    layer = nn.Linear(*kernel.shape, bias="bias" in own)
    layer.weight = _tensor(kernel.T)
    if "bias" in own:
        layer.bias = _tensor(own["bias"])
    return layer


def _convolution(call: Call, config: Any, own: Arrays, orders: _Orders) -> nn.Module:
    kernel = own["kernel"].transpose(3, 2, 0, 1)
    return _convolved(call, config, kernel, own.get("bias"), config.get("groups", 1))


def _depthwise(call: Call, config: Any, own: Arrays, orders: _Orders) -> nn.Module:
    return _convolved(call, config, *_depthwise_kernel(own["kernel"], own.get("bias")))


def _depthwise_kernel(kernel: np.ndarray, bias: Any) -> tuple[Any, Any, int]:
    height, width, channels, times = kernel.shape
    flat = kernel.transpose(2, 3, 0, 1).reshape(channels * times, 1, height, width)
    return flat, bias, channels


def _separable(call: Call, config: Any, own: Arrays, orders: _Orders) -> nn.Module:
    kernel, _, groups = _depthwise_kernel(own["depthwise_kernel"], None)
    first = _convolved(call, config, kernel, None, groups)
    plain = {**config, "strides": (1, 1), "padding": "valid", "dilation_rate": (1, 1)}
    points = own["pointwise_kernel"].transpose(3, 2, 0, 1)
    pointwise = {**call, "input_shapes": [call["output_shape"]]}
    second = _convolved(pointwise, plain, points, own.get("bias"), 1)
    return nn.Sequential(first, second)


def _convolved(
    call: Call, config: Any, kernel: np.ndarray, bias: Any, groups: int
) -> nn.Module:
    """A convolution of a kernel [filters, channels of a group, height, width]."""
    dilation = tuple(config.get("dilation_rate", (1, 1)))
    spread = tuple(
        (k - 1) * d + 1 for k, d in zip(kernel.shape[2:], dilation, strict=True)
    )
    before, padding = _padding(call, config, spread)
    layer = nn.Conv2d(
        kernel.shape[1] * groups,
        kernel.shape[0],
        kernel.shape[2:],
        stride=tuple(config["strides"]),
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=bias is not None,
    )
    layer.weight = _tensor(kernel)
    if bias is not None:
        layer.bias = _tensor(bias)
    return layer if before is None else nn.Sequential(nn.ZeroPad2d(before), layer)


def _padding(call: Call, config: Any, window: tuple[int, ...]) -> tuple[Any, Any]:
    """Padding before a layer (left, right, top, bottom) or None, and the layer's own.

    Keras' "same" adds one more at the end where the sum is odd; PyTorch can't.
    """
    if config["padding"] == "valid":
        return None, (0, 0)
    sides = []
    strides = config["strides"]
    for size, step, length in zip(
        call["input_shapes"][0][:2], strides, window, strict=True
    ):
        missing = max((math.ceil(size / step) - 1) * step + length - size, 0)
        sides.append((missing // 2, missing - missing // 2))
    (top, bottom), (left, right) = sides
    if top == bottom and left == right:
        return None, (top, left)
    return (left, right, top, bottom), (0, 0)


def _normalization(call: Call, config: Any, own: Arrays, orders: _Orders) -> nn.Module:
    shape = call["input_shapes"][0]
    if config["axis"] not in (-1, len(shape)):
        raise _refusal(call, "normalization of another axis has no translation")
    kinds = {1: nn.BatchNorm1d, 3: nn.BatchNorm2d}
    layer = kinds[len(shape)](
        shape[-1],
        eps=config["epsilon"],
        momentum=1 - config["momentum"],
        affine=True,
    )
    ordered = {name: orders.rows(call, array) for name, array in own.items()}
    layer.running_mean = torch.from_numpy(ordered["moving_mean"].copy())
    layer.running_var = torch.from_numpy(ordered["moving_variance"].copy())
    with torch.no_grad():
        for ours, name in ((layer.weight, "gamma"), (layer.bias, "beta")):
            if name in ordered:
                ours.copy_(torch.from_numpy(ordered[name].copy()))
            else:
                ours.requires_grad_(False)
    orders.passed_on(call)
    return layer


def _pooling(call: Call, config: Any, own: Arrays, orders: _Orders) -> nn.Module:
    window = tuple(config["pool_size"])
    before, padding = _padding(call, config, window)
    strides = tuple(config["strides"])
    if call["kind"] == "MaxPooling2D":
        pool: nn.Module = nn.MaxPool2d(window, strides, padding=padding)
        pad = nn.ConstantPad2d(before, -math.inf) if before else None
        return pool if pad is None else nn.Sequential(pad, pool)
    pool = nn.AvgPool2d(window, strides, padding=padding, count_include_pad=False)
    return pool if before is None else Function(_uneven_average(before, pool))


def _uneven_average(before: Any, pool: nn.Module) -> Callable[[Any], Any]:
    def average(x: Any) -> Any:
        ones = functional.pad(torch.ones_like(x[:1, :1]), before)
        return pool(functional.pad(x, before)) / pool(ones)

    return average


def _global(call: Call, config: Any, own: Arrays, orders: _Orders) -> nn.Module:
    reduce = torch.amax if "Max" in call["kind"] else torch.mean
    keep = bool(config["keepdims"])
    return Function(lambda x: reduce(x, dim=(2, 3), keepdim=keep))


def _flatten(call: Call, config: Any, own: Arrays, orders: _Orders) -> nn.Module:
    orders.flattened(call)
    return nn.Flatten()


def _reshape(call: Call, config: Any, own: Arrays, orders: _Orders) -> nn.Module:
    given, wanted = call["input_shapes"][0], call["output_shape"]
    if len(wanted) == 3 and wanted[:2] == [1, 1] and given[-1] == wanted[-1]:
        return Function(lambda x: x.reshape(len(x), wanted[-1], 1, 1))
    raise _refusal(call, f"Reshape to {tuple(wanted)} has no translation")


def _rescaling(call: Call, config: Any, own: Arrays, orders: _Orders) -> nn.Module:
    shape = (1, -1, 1, 1) if len(call["input_shapes"][0]) == 3 else (1, -1)
    scale, offset = (
        np.asarray(config[name], "float32").reshape(shape)
        for name in ("scale", "offset")
    )
    return Scaled(scale, offset)


def _relu(call: Call, config: Any, own: Arrays, orders: _Orders) -> nn.Module:
    most, slope = config.get("max_value"), config.get("negative_slope") or 0.0
    if config.get("threshold"):
        raise _refusal(call, "ReLU with a threshold has no translation")
    if slope:
        return nn.LeakyReLU(slope)
    return nn.ReLU() if most is None else nn.Hardtanh(0.0, most)


def _padded(call: Call, config: Any, own: Arrays, orders: _Orders) -> nn.Module:
    (top, bottom), (left, right) = config["padding"]
    return nn.ZeroPad2d((left, right, top, bottom))


def _enlarged(call: Call, config: Any, own: Arrays, orders: _Orders) -> nn.Module:
    if config.get("interpolation", "nearest") != "nearest":
        raise _refusal(call, "interpolated UpSampling2D has no translation")
    return nn.Upsample(scale_factor=tuple(float(each) for each in config["size"]))


def _concatenated(call: Call, config: Any, own: Arrays, orders: _Orders) -> nn.Module:
    if config["axis"] not in (-1, len(call["output_shape"])):
        raise _refusal(call, "Concatenate along another axis has no translation")
    return Function(lambda *inputs: torch.cat(inputs, 1))


def _sum(*inputs: Any) -> Any:
    total = inputs[0]
    for each in inputs[1:]:
        total = total + each
    return total


def _product(*inputs: Any) -> Any:
    product = inputs[0]
    for each in inputs[1:]:
        product = product * each
    return product


TRANSLATIONS: dict[str, Callable[[Call, Any, Arrays, _Orders], nn.Module]] = {
    "Activation": lambda call, config, *_: Function(
        _activation(call, config["activation"])
    ),
    "Add": lambda *_: Function(_sum),
    "AveragePooling2D": _pooling,
    "BatchNormalization": _normalization,
    "Concatenate": _concatenated,
    "Conv2D": _convolution,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "Dropout": lambda call, config, *_: nn.Dropout(config["rate"]),
    "ELU": lambda call, config, *_: nn.ELU(config["alpha"]),
    "Flatten": _flatten,
    "GlobalAveragePooling2D": _global,
    "GlobalMaxPooling2D": _global,
    "Identity": lambda *_: nn.Identity(),
    "InputLayer": lambda *_: nn.Identity(),
    "LeakyReLU": lambda call, config, *_: nn.LeakyReLU(config["negative_slope"]),
    "MaxPooling2D": _pooling,
    "Multiply": lambda *_: Function(_product),
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "SeparableConv2D": _separable,
    "UpSampling2D": _enlarged,
    "ZeroPadding2D": _padded,
}
ELEMENTWISE = {"Activation", "Dropout", "ELU", "Identity", "LeakyReLU", "ReLU"}
FOLLOW_ORDER = {"BatchNormalization", "Dense", "Flatten"}
