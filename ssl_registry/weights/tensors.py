"""Tensors as safetensors wants them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def owned(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous copies on the CPU that share no memory with each other or the originals."""
    return {
        name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()
    }
