"""The contender PyTorch: the same net in its eager mode, data on the device."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import numpy as np
import torch

from keras16 import data
from keras16.benchmark.architecture_files import CALLS, SETTINGS, WEIGHTS
from keras16.benchmark.meter import Meter
from keras16.benchmark.plan import Case, Contender
from keras16.benchmark.torch_net import Net
from keras16.errors import UserError

# Keras' 1e-7 is 0 in float16, and Adam's first division gives NaN.
HALF_EPSILON = 1e-4
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Trainer:
    """Runs steps one by one, as a PyTorch user writes them."""

    def __init__(self, contender: Contender, case: Case) -> None:
        torch.manual_seed(case.run.seed)
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.mode, self.batch_size = contender.setting, case.run.batch_size
        graph = json.loads((case.folder / CALLS).read_text())
        with np.load(case.folder / WEIGHTS) as weights:
            self.net = Net(graph, dict(weights)).to(self.device)
        settings = json.loads((case.folder / SETTINGS).read_text())
        self._place(contender)
        self.optimizer = optimizer(self.net, settings, self.mode)
        self.scaler = torch.amp.GradScaler(self.device, enabled=self.mode == "fp16")
        self._load(case, contender)

    def train(self, meter: Meter) -> None:
        """Batches in random order, loss and accuracy summed on the device."""
        meter.begin()
        count = len(self.x) // self.batch_size
        while True:
            order = torch.randperm(len(self.x), device=self.device)
            batches = order[: count * self.batch_size].reshape(count, -1)
            self.loss_sum, self.right = 0.0, 0
            for rows in batches:
                self._step(self.x[rows], self.y[rows])
                meter.stepped(1, self._settle)

    def inside(self, seconds: float) -> float:
        """Nothing is compiled here.

        Raises:
            UserError: Always.
        """
        raise UserError("PyTorch's eager mode has no compiled graph.")

    def state(self) -> dict[str, int]:
        """Bytes of the training state."""
        trained = [p for p in self.net.parameters() if p.requires_grad]
        slots = [
            value
            for state in self.optimizer.state.values()
            for value in state.values()
            if torch.is_tensor(value)
        ]
        return {
            "weights": _bytes([*self.net.parameters(), *self.net.buffers()]),
            "gradients": _bytes(trained),
            "slots": _bytes(slots),
        }

    def _place(self, contender: Contender) -> None:
        """Dtype and memory format; an optimizer holds the parameters made here."""
        if self.mode == "half":
            self.net.half()
        if contender.channels_last:
            self.net.to(memory_format=torch.channels_last)
        self.net.train()

    def _load(self, case: Case, contender: Contender) -> None:
        dataset = data.load(case.run.dataset)
        x = torch.from_numpy(dataset.x_train)
        if x.ndim == 4:
            last = contender.channels_last
            kind = torch.channels_last if last else torch.contiguous_format
            x = x.permute(0, 3, 1, 2).contiguous(memory_format=kind)
        if not dataset.is_pixels and self.mode == "half":
            x = x.half()
        self.x = x.to(self.device)
        self.y = torch.from_numpy(dataset.y_train).long().to(self.device)

    def _step(self, x: Any, y: Any) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            logits = self.net(x)
            loss = torch.nn.functional.cross_entropy(logits, y)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.loss_sum = self.loss_sum + loss.detach()
        self.right = self.right + (logits.detach().argmax(1) == y).sum()

    def _autocast(self) -> Any:
        if self.mode not in AUTOCAST:
            return contextlib.nullcontext()
        return torch.autocast(self.device, dtype=AUTOCAST[self.mode])

    def _settle(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def optimizer(net: Net, settings: dict[str, Any], mode: str) -> torch.optim.Optimizer:
    """PyTorch's optimizer with the settings of the run, fused.

    Args:
        net: On its device, in its dtype.
        settings: Fields of the run, defaults filled in.
        mode: "half" takes an epsilon that float16 can hold.
    """
    trained = [p for p in net.parameters() if p.requires_grad]
    rate = settings["learning_rate"]
    if settings["optimizer"] == "sgd":
        return torch.optim.SGD(trained, rate, momentum=settings["momentum"], fused=True)
    epsilon = HALF_EPSILON if mode == "half" else settings["epsilon"]
    return torch.optim.Adam(trained, rate, eps=epsilon, fused=True)


def peak_device_bytes() -> int:
    """Peak memory of the GPU; 0 without one."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0


def _bytes(tensors: list[Any]) -> int:
    return sum(one.numel() * one.element_size() for one in tensors)
