"""Augmentation of images together with their masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from kornia.augmentation import (
    AugmentationSequential,
    ColorJitter,
    RandomAffine,
    RandomHorizontalFlip,
)
from torch import Tensor, nn

from ssl_registry.augment.views import draw_on_cpu


class LightPairedAugmentation(nn.Module):
    """Flip, small rotation and scaling, brightness and contrast; masks follow their images.

    Left-right flip (probability 0.5), rotation within 15 degrees and scale 0.9 to 1.1 (always),
    brightness and contrast within 20 % (always). No up-down flip: in ultrasound the skin is at
    the top. Draws are per image, and from torch's global CPU generator.
    """

    def __init__(self) -> None:
        super().__init__()
        self._operations = AugmentationSequential(
            RandomHorizontalFlip(p=0.5),
            RandomAffine(degrees=15.0, scale=(0.9, 1.1), p=1.0),
            ColorJitter(brightness=0.2, contrast=0.2, p=1.0),
            data_keys=["input", "mask"],
        )

    @torch.no_grad()
    def forward(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Augmented images in [0, 1] and masks.

        What moves in from outside is 0 in the masks, and in the images as dark as the draw of
        contrast makes what was 0.

        Args:
            images: float `[N, C, H, W]` in [0, 1].
            masks: integer `[N, H, W]` of class numbers, or `[N, K, H, W]` of planes; moved with
                nearest neighbour, so that no new values arise.
        """
        planes = masks if masks.ndim == 4 else masks[:, None]
        moved, moved_planes = self._operations(images, planes.to(images.dtype))
        moved_masks = moved_planes.round().to(masks.dtype)
        return moved.clamp_(0, 1), moved_masks if masks.ndim == 4 else moved_masks[:, 0]

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        draw_on_cpu(self)
        return self
