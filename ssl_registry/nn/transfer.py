"""Sending what was made on the CPU to where it is needed."""

from __future__ import annotations

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A small CPU tensor on `device`; a GPU is not waited for, as `to` would."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
