"""The chain of operations that contrastive methods share."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ssl_registry.augment.fast import fast_chain
from ssl_registry.augment.jitter import Jitter
from ssl_registry.augment.settings import ChainSettings, Operation
from ssl_registry.config.augmentation import Backend

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
    backend: Backend = "fast",
) -> nn.Module:
    """A crop, and then flip, jitter, grayscale and blur, in this order by default (SimCLR, app. A).

    The chain maps float images `[N, channels, H, W]` in [0, 1] to
    `[N, channels, image_size, image_size]`; each image has its own draws. Operations that do
    nothing (probability 0; colour operations on one channel) are left out.

    Both backends draw from the same distributions, but not the same numbers from the same seed.
    They differ in the crop. `fast` resizes with antialiasing, as torchvision does, so that images
    of any size may be given. `kornia` takes one bilinear `grid_sample` without antialiasing,
    meant for images that were shrunk beforehand to at most about 1.5 times `image_size`; it needs
    kornia 0.9.0, for earlier releases never cropped a full side.

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
        backend: `fast` for the batched forms of this library (`FastChain`, whose crop also does
            the flip: wherever it comes in the order, it gives the same), `kornia` for an
            `nn.Sequential` of kornia's modules.
    """
    settings = ChainSettings(
        image_size,
        channels,
        crop_scale,
        crop_ratio,
        flip,
        jitter,
        grayscale,
        blur,
        blur_sigma,
        tuple(order),
    )
    if backend == "fast":
        return fast_chain(settings)
    # kornia takes a second to import.
    from ssl_registry.augment.kornia_chain import kornia_chain

    return kornia_chain(settings)
