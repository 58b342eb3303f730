"""The views that SimSiam compares."""

from __future__ import annotations

from ssl_registry.augment import TwoViews, contrastive_views
from ssl_registry_simsiam.config import SimSiamAugmentationConfig


def simsiam_views(config: SimSiamAugmentationConfig, image_size: int, channels: int) -> TwoViews:
    """Two views by crop, colour jitter, grayscale, blur, flip: MoCo v2's (section 3).

    With one channel hue, saturation and grayscale, which do nothing to a gray image, are left out;
    the rest stays as it is. Gray images that are repeated for three channels keep equal channels.
    """
    return contrastive_views(config, image_size, channels, ("jitter", "grayscale", "blur", "flip"))
