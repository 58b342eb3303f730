"""The chain of operations that contrastive methods share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from kornia.augmentation import (
    RandomGaussianBlur,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomResizedCrop,
)
from torch import nn

from ssl_registry.augment.jitter import Jitter, RandomJitter

Operation = Literal["flip", "jitter", "grayscale", "blur"]
DEFAULT_ORDER: tuple[Operation, ...] = ("flip", "jitter", "grayscale", "blur")


def contrastive_chain(
    image_size: int,
    channels: int,
    *,
    crop_scale: tuple[float, float],
    crop_ratio: tuple[float, float],
    flip: float,
    jitter: Jitter,
    grayscale: float,
    blur: float,
    blur_sigma: tuple[float, float],
    order: Sequence[Operation] = DEFAULT_ORDER,
) -> nn.Sequential:
    """A crop, and then flip, jitter, grayscale and blur, in this order by default (SimCLR, app. A).

    The chain maps float images `[N, channels, H, W]` in [0, 1] to
    `[N, channels, image_size, image_size]`; each image has its own draws. Operations that do
    nothing (probability 0; colour operations on one channel) are left out.

    The crop is one bilinear `grid_sample` without antialiasing: it is meant for images that were
    shrunk beforehand, with antialiasing, to at most about 1.5 times `image_size`. It needs
    kornia 0.9.0; earlier releases never cropped a full side.

    Args:
        image_size: Side of the views, px.
        channels: 1 or 3.
        crop_scale: Smallest and largest area of a crop, as a share of the image.
        crop_ratio: Smallest and largest width / height of a crop.
        flip: Probability of a left-right flip.
        jitter: Strengths and probability of colour jitter.
        grayscale: Probability of dropping colour.
        blur: Probability of Gaussian blur.
        blur_sigma: Smallest and largest sigma, px.
        order: What follows the crop, first to last; what is not named is left out.
    """
    size = (image_size, image_size)
    # "slice" would loop over images in Python; "resample" is one call for all of them.
    crop = RandomResizedCrop(size, scale=crop_scale, ratio=crop_ratio, cropping_mode="resample")
    available: dict[Operation, nn.Module] = {}
    if flip > 0:
        available["flip"] = RandomHorizontalFlip(p=flip)
    if jitter.share > 0:
        available["jitter"] = RandomJitter(jitter, channels)
    if grayscale > 0 and channels == 3:
        available["grayscale"] = RandomGrayscale(p=grayscale)
    if blur > 0:
        kernel = blur_kernel(image_size)
        available["blur"] = RandomGaussianBlur((kernel, kernel), blur_sigma, p=blur)
    return nn.Sequential(crop, *(available[name] for name in order if name in available))


def blur_kernel(image_size: int) -> int:
    """Side of the blur's kernel: a tenth of the image, odd, at least 3 (SimCLR, appendix A).

    A small kernel cuts the Gaussian off: sigma 2 acts like 0.8 with 3 px, 1.3 with 5, 1.9 with 9.
    """
    return max(3, image_size // 10 | 1)
