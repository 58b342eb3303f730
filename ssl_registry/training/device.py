"""Which device and precision a run uses."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ssl_registry.config.training import TrainingConfig
from ssl_registry.errors import DeviceError


@dataclass(frozen=True)
class Execution:
    """How the arithmetic is done; other values give other bits.

    Attributes:
        device: The torch device.
        precision: fp32, or bf16 autocast (weights, losses and EMA stay fp32).
        threads: CPU threads.
    """

    device: torch.device
    precision: Literal["fp32", "bf16"]
    threads: int

    def autocast(self) -> AbstractContextManager[object]:
        """Context of a forward pass in the chosen precision."""
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"
        )

    def place(self, module: nn.Module) -> None:
        """Move a module to the device, channels last where that helps bf16 convolutions."""
        if self.precision == "bf16":
            module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        else:
            module.to(self.device)


def choose_execution(config: TrainingConfig) -> Execution:
    """Resolve `auto`, set the thread count, and check that the device is there.

    On CUDA, cuDNN is told to use deterministic kernels and not to choose them by timing, so that
    a resumed run computes as the uninterrupted one. That is as far as it goes there: operations
    that torch has only in a non-deterministic form may still differ in the last bits.

    Raises:
        DeviceError: The device asked for does not exist here; says what does.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    device = _device(config.device)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    precision = config.precision
    if precision == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bf16" if fast else "fp32"
    return Execution(device, precision, torch.get_num_threads())


def _device(name: str) -> torch.device:
    present = _present()
    if name == "auto":
        return torch.device(present[0])
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"{name!r} is no device; here there is {', '.join(present)}") from error
    index = device.index or 0
    missing = device.type not in present or (
        device.type == "cuda" and index >= torch.cuda.device_count()
    )
    if missing:
        raise DeviceError(
            f"device {name!r} is not there; here there is {', '.join(present)}. "
            "Set training.device to one of them, or to auto."
        )
    return device


def _present() -> list[str]:
    """Kinds of device that work here, fastest first."""
    kinds = ["cpu"]
    if torch.backends.mps.is_available():
        kinds.insert(0, "mps")
    if torch.cuda.is_available():
        kinds.insert(0, "cuda")
    return kinds
