"""Views that differ as two acquisitions of the same tissue do."""

from __future__ import annotations

import math

from torch import nn

from ssl_registry.augment import Jitter, MatrixBlur, TwoViews, contrastive_chain
from ssl_registry_ultrasound.config import UltrasoundAugmentationConfig
from ssl_registry_ultrasound.gain import RandomDepthGain, RandomGamma
from ssl_registry_ultrasound.speckle import RandomSpeckle
from ssl_registry_ultrasound.tilt import RandomTilt


def ultrasound_views(
    config: UltrasoundAugmentationConfig, image_size: int, channels: int
) -> TwoViews:
    """Two views by tilt, crop, flip, brightness, contrast, depth gain, gray map, speckle, blur.

    The order is that of an acquisition: where the probe is, what gain and dynamic range are set,
    and how finely the machine resolves. Each image has its own draws. What a tilt moves in from
    outside is black, like the outside of a sector.

    One channel and three are treated alike: no operation mixes channels or tells them apart, so a
    gray image that is repeated for three channels stays gray, with the views of its one channel.
    There is no colour operation; photographs keep their colours, but for gain and gray map.
    """
    chain: list[nn.Module] = []
    if config.rotation > 0:
        chain.append(_tilt(config))
    chain.append(
        contrastive_chain(
            image_size,
            channels,
            crop_scale=config.crop_scale,
            crop_ratio=config.crop_ratio,
            flip=config.flip,
            jitter=Jitter(config.brightness, config.contrast, 0.0, 0.0, config.jitter),
            grayscale=0.0,
            blur=0.0,
            blur_sigma=(1.0, 1.0),
            order=("flip", "jitter"),
            backend=config.backend,
        )
    )
    if config.depth_gain > 0:
        chain.append(RandomDepthGain(config.depth_gain, config.depth_sliders))
    if config.gamma > 1:
        chain.append(RandomGamma(config.gamma))
    if config.speckle > 0:
        chain.append(RandomSpeckle(config.speckle, config.speckle_strength, config.speckle_size))
    if config.blur > 0:
        chain.append(_blur(config, image_size))
    return TwoViews(nn.Sequential(*chain))


def _tilt(config: UltrasoundAugmentationConfig) -> nn.Module:
    if config.backend == "fast":
        return RandomTilt(config.rotation)
    from kornia.augmentation import RandomRotation  # takes a second to import

    rotation: nn.Module = RandomRotation(config.rotation, p=1.0)
    return rotation


def _blur(config: UltrasoundAugmentationConfig, image_size: int) -> nn.Module:
    low, high = (share * image_size for share in config.blur_sigma)
    kernel = blur_kernel_of(high)
    if config.backend == "fast":
        return MatrixBlur(image_size, kernel, (low, high), config.blur)
    from kornia.augmentation import RandomGaussianBlur

    blur: nn.Module = RandomGaussianBlur((kernel, kernel), (low, high), p=config.blur)
    return blur


def blur_kernel_of(sigma: float) -> int:
    """Side of a kernel that holds a Gaussian of `sigma` px up to three of it: odd, at least 3.

    A kernel cut off earlier blurs less than its sigma says: 3 px act like 0.8 whatever is asked
    for.
    """
    return 2 * max(1, math.ceil(3 * sigma)) + 1
