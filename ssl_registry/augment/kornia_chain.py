"""The chain of contrastive methods made of kornia's modules."""

from __future__ import annotations

import torch
from kornia.augmentation import (
    ColorJitter,
    RandomGaussianBlur,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomResizedCrop,
)
from torch import Tensor, nn

from ssl_registry.augment.jitter import Jitter
from ssl_registry.augment.settings import ChainSettings, Operation, blur_kernel

_BLOCKS = 8


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


def kornia_chain(settings: ChainSettings) -> nn.Sequential:
    """The chain of `settings`; its crop is not antialiased."""
    size, kernel = settings.image_size, blur_kernel(settings.image_size)
    crop = RandomResizedCrop(
        (size, size),
        scale=settings.crop_scale,
        ratio=settings.crop_ratio,
        # "slice" would loop over images in Python; "resample" is one call for all of them.
        cropping_mode="resample",
    )
    operations: dict[Operation, nn.Module] = {
        "flip": RandomHorizontalFlip(p=settings.flip),
        "jitter": RandomJitter(settings.jitter, settings.channels),
        "grayscale": RandomGrayscale(p=settings.grayscale),
        "blur": RandomGaussianBlur((kernel, kernel), settings.blur_sigma, p=settings.blur),
    }
    return nn.Sequential(crop, *(operations[name] for name in settings.operations))
