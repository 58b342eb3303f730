"""The views that SimCLR compares."""

from __future__ import annotations

from ssl_registry.augment import Jitter, TwoViews, contrastive_chain
from ssl_registry_simclr.config import SimCLRAugmentationConfig


def simclr_views(config: SimCLRAugmentationConfig, image_size: int, channels: int) -> TwoViews:
    """Two views by crop, flip, colour jitter, grayscale, blur (Chen et al. 2020, appendix A)."""
    s = config.jitter_strength
    chain = contrastive_chain(
        image_size,
        channels,
        crop_scale=config.crop_scale,
        crop_ratio=config.crop_ratio,
        flip=config.flip,
        jitter=Jitter(
            brightness=s * config.brightness,
            contrast=s * config.contrast,
            saturation=s * config.saturation,
            hue=s * config.hue,
            share=config.jitter,
        ),
        grayscale=config.grayscale,
        blur=config.blur,
        blur_sigma=config.blur_sigma,
    )
    return TwoViews(chain)
