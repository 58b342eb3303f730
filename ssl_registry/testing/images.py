"""Images and masks that the kit makes itself."""

from __future__ import annotations

import torch
from torch import Tensor

BACKGROUND = 0.1


def blobs(count: int, channels: int, height: int, width: int | None = None) -> Tensor:
    """Noisy images `[N, C, H, W]` in [0, 1] with a bright disc each, drawn from torch's generator.

    The channels of three differ, as those of photographs do.
    """
    discs_ = discs(count, height, width)[:, None].float()
    tint = 0.5 + 0.5 * torch.rand(count, channels, 1, 1)
    noise = 0.1 * torch.rand(count, channels, height, width or height)
    return (BACKGROUND + 0.7 * tint * discs_ + noise).clamp(0, 1)


def discs(count: int, height: int, width: int | None = None) -> Tensor:
    """Masks uint8 `[N, H, W]` of a disc of 1 each, some way from the border."""
    y, x = torch.meshgrid(
        torch.arange(height).float(), torch.arange(width or height).float(), indexing="ij"
    )
    sides = torch.tensor([height, width or height]).float()
    centres = (0.35 + 0.3 * torch.rand(count, 2)) * sides
    distances = torch.hypot(y - centres[:, 0, None, None], x - centres[:, 1, None, None])
    return (distances < 0.2 * sides.min()).to(torch.uint8)
