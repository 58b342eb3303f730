"""Two contrastive views from the settings that such augmentations share."""

from __future__ import annotations

from collections.abc import Sequence

from ssl_registry.augment.chain import contrastive_chain
from ssl_registry.augment.jitter import Jitter
from ssl_registry.augment.settings import Operation
from ssl_registry.augment.views import TwoViews
from ssl_registry.config.augmentation import ContrastiveAugmentationConfig


def contrastive_views(
    config: ContrastiveAugmentationConfig,
    image_size: int,
    channels: int,
    order: Sequence[Operation],
) -> TwoViews:
    """Two views by a crop and then the operations of `order`, with the settings of `config`.

    Args:
        config: Strengths and probabilities.
        image_size: Side of the views, px.
        channels: 1 or 3; with 1 hue, saturation and grayscale, which do nothing there, are left
            out, and brightness, contrast, crop, flip and blur stay as they are.
        order: What follows the crop, first to last.
    """
    chain = contrastive_chain(
        image_size,
        channels,
        crop_scale=config.crop_scale,
        crop_ratio=config.crop_ratio,
        flip=config.flip,
        jitter=Jitter(
            brightness=config.brightness,
            contrast=config.contrast,
            saturation=config.saturation,
            hue=config.hue,
            share=config.jitter,
        ),
        grayscale=config.grayscale,
        blur=config.blur,
        blur_sigma=config.blur_sigma,
        order=order,
        backend=config.backend,
    )
    return TwoViews(chain)
