"""Which device and precision a run uses."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ssl_registry.config.training import TrainingConfig
from ssl_registry.errors import DeviceError
from ssl_registry.nn.small_maps import use_small_maps
from ssl_registry.training.allocator import keep_freed_memory
from ssl_registry.training.processor import multiplies_bf16

Precision = Literal["fp32", "bf16"]


@dataclass
class Execution:
    """How the arithmetic is done; other values give other bits.

    Attributes:
        device: The torch device.
        precision: fp32, or bf16 autocast (weights, losses, EMA and statistics stay fp32).
        threads: CPU threads.
        automatic: Whether the precision is this library's choice.
    """

    device: torch.device
    precision: Precision
    threads: int
    automatic: bool = False

    def autocast(self) -> AbstractContextManager[object]:
        """Context of a forward pass in the chosen precision."""
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"
        )

    def place(self, module: nn.Module) -> None:
        """Move a module to the device, and let its convolutions be done the fastest way there.

        Channels are last where that is faster; on the CPU maps of a few pixels are convolved as
        `SmallMapConv2d` says.
        """
        last = self.precision == "bf16" or self.device.type == "cpu"
        layout = torch.channels_last if last else torch.contiguous_format
        module.to(self.device, memory_format=layout)  # type: ignore[call-overload]
        if self.device.type == "cpu":
            use_small_maps(module)

    def go_on_with(self, precision: Precision, module: nn.Module) -> None:
        """Compute as a run did before it was resumed, if the config leaves it to us."""
        if self.automatic and precision != self.precision:
            self.precision = precision
            self.place(module)


def choose_execution(config: TrainingConfig) -> Execution:
    """Resolve `auto`, set the thread count, and check that the device is there.

    On the CPU glibc is told to keep freed memory for the next step; see `keep_freed_memory`.

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
    if device.type == "cpu":
        keep_freed_memory()
    threads = torch.get_num_threads()
    if config.precision == "auto":
        precision: Precision = "bf16" if computes_in_bf16(device) else "fp32"
        return Execution(device, precision, threads, automatic=True)
    return Execution(device, config.precision, threads)


def computes_in_bf16(device: torch.device) -> bool:
    """Whether a device multiplies bf16 numbers in hardware, and so faster than fp32.

    Of CPUs those do that have AMX tiles or AVX-512 BF16. It is asked of the processor and not
    timed, so that the same machine always gives the same answer.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and multiplies_bf16(torch.cpu)


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
