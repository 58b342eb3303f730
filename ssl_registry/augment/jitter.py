"""Colour jitter as torchvision defines it, for whole batches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from kornia.augmentation import ColorJitter
from torch import Tensor, nn

_BLOCKS = 8


@dataclass(frozen=True)
class Jitter:
    """Strengths of colour jitter.

    Attributes:
        brightness: Factors are drawn from [max(0, 1 - b), 1 + b]; `contrast`, `saturation` alike.
        contrast: See `brightness`.
        saturation: See `brightness`; of no effect on gray images.
        hue: Turns of the colour circle are drawn from [-hue, hue], at most 0.5; of no effect on
            gray images.
        share: Probability that an image is jittered at all.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float
    share: float


class RandomJitter(nn.Module):
    """Brightness, contrast, saturation and hue in random order, `[N, C, H, W]` in [0, 1].

    Factors and the decision to jitter are drawn per image. kornia draws one order of the four
    per call, where torchvision draws one per image; so a batch is jittered in 8 blocks, each
    with an order of its own, and the two views of an image never share a block.

    kornia's `ColorJitter` has torchvision's formulas (`ColorJiggle` adds brightness instead of
    scaling it), and since 0.9.0 its contrast blends with each image's own mean, also for one
    channel. With one channel hue and saturation, which would be refused there, are left out.
    """

    def __init__(self, jitter: Jitter, channels: int) -> None:
        super().__init__()
        colour = channels == 3
        self._jitter = ColorJitter(
            brightness=jitter.brightness,
            contrast=jitter.contrast,
            saturation=jitter.saturation if colour else 0.0,
            hue=jitter.hue if colour else 0.0,
            p=jitter.share,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Jittered images, of the same shape."""
        return torch.cat([self._jitter(block) for block in images.chunk(_BLOCKS)])
