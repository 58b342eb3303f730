"""The views that SimCLR compares."""

from __future__ import annotations

from ssl_registry.augment import TwoViews, contrastive_views
from ssl_registry_simclr.config import SimCLRAugmentationConfig

_SCALED = ("brightness", "contrast", "saturation", "hue")


def simclr_views(config: SimCLRAugmentationConfig, image_size: int, channels: int) -> TwoViews:
    """Two views by crop, flip, colour jitter, grayscale, blur (Chen et al. 2020, appendix A).

    With one channel hue, saturation and grayscale, which do nothing to a gray image, are left out;
    the rest stays as it is. Gray images that are repeated for three channels keep equal channels.
    """
    strengths = {name: config.jitter_strength * getattr(config, name) for name in _SCALED}
    scaled = config.model_copy(update=strengths)
    return contrastive_views(scaled, image_size, channels, ("flip", "jitter", "grayscale", "blur"))
