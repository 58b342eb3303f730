"""The contract of an augmentation: a batch on the device in, its views out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Views:
    """Augmented views of a batch of N images.

    Attributes:
        images: One float tensor `[N, C, H, W]` in [0, 1] per view; sizes may differ.
        source: The images the views were made from, resized but not augmented, if kept.
        transforms: Per view, the 3x3 matrices `[N, 3, 3]` from source to view pixels, if kept.
        masks: Per view, the masks moved along with the images, if there were any.
    """

    images: tuple[Tensor, ...]
    source: Tensor | None = None
    transforms: tuple[Tensor, ...] | None = None
    masks: tuple[Tensor, ...] | None = None


class Augmentation(nn.Module, ABC):
    """Built by `Augmentation(config, image_size, channels)`; draws from torch's global generator.

    `channels` is 1 or 3: operations that do nothing on gray images are left out for 1.
    """

    @abstractmethod
    def forward(self, images: Tensor) -> Views:
        """Views of float images `[N, channels, H, W]` in [0, 1]; values stay in [0, 1]."""
