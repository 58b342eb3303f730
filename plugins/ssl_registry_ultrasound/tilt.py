"""A tilt of the probe: the image turned about its middle."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RandomTilt(nn.Module):
    """Turns each image about its middle by an angle of its own, uniform in [-limit, limit].

    Bilinear; what is moved in from outside is 0. The result is that of torchvision's `rotate`.

    Args:
        limit: Largest angle to either side, degrees.
    """

    def __init__(self, limit: float) -> None:
        super().__init__()
        self._limit = limit

    def forward(self, images: Tensor) -> Tensor:
        """Turned images, of the same shape `[N, C, H, W]`."""
        return turned(images, self._limit * (2 * torch.rand(len(images)) - 1))


def turned(images: Tensor, degrees: Tensor) -> Tensor:
    """Images turned counter-clockwise by `degrees` `[N]`, which lie on the CPU."""
    height, width = images.shape[2:]
    angle = torch.deg2rad(degrees)
    cosine, sine, nothing = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # Of grid_sample's coordinates, from -1 to 1 over either side.
    rows = (
        torch.stack([cosine, -sine * (height / width), nothing], dim=1),
        torch.stack([sine * (width / height), cosine, nothing], dim=1),
    )
    matrices = torch.stack(rows, dim=1)
    if images.is_cuda:
        matrices = matrices.pin_memory()  # so that the transfer need not be waited for
    matrices = matrices.to(images.device, non_blocking=True).to(images.dtype)
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", align_corners=False)
