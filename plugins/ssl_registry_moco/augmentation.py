"""The views that MoCo compares."""

from __future__ import annotations

from ssl_registry.augment import TwoViews, contrastive_views
from ssl_registry_moco.config import MoCoV1AugmentationConfig, MoCoV2AugmentationConfig


def moco_v1_views(config: MoCoV1AugmentationConfig, image_size: int, channels: int) -> TwoViews:
    """Two views by crop, grayscale, colour jitter, flip (He et al. 2020, section 3.3).

    With one channel hue, saturation and grayscale, which do nothing to a gray image, are left out;
    the rest stays as it is. Gray images that are repeated for three channels keep equal channels.
    """
    return contrastive_views(config, image_size, channels, ("grayscale", "jitter", "flip", "blur"))


def moco_v2_views(config: MoCoV2AugmentationConfig, image_size: int, channels: int) -> TwoViews:
    """Two views by crop, colour jitter, grayscale, blur, flip (Chen et al. 2020, section 3).

    With one channel hue, saturation and grayscale, which do nothing to a gray image, are left out;
    the rest stays as it is. Gray images that are repeated for three channels keep equal channels.
    """
    return contrastive_views(config, image_size, channels, ("jitter", "grayscale", "blur", "flip"))
