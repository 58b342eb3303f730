"""The settings of a contrastive chain, whatever does its work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ssl_registry.augment.jitter import Jitter

Operation = Literal["flip", "jitter", "grayscale", "blur"]


@dataclass(frozen=True)
class ChainSettings:
    """What `contrastive_chain` is asked for.

    Attributes:
        image_size: Side of the views, px.
        channels: 1 or 3.
        crop_scale: Smallest and largest area of a crop, as a share of the image.
        crop_ratio: Smallest and largest width / height of a crop.
        flip: Probability of a left-right flip.
        jitter: Strengths and probability of colour jitter.
        grayscale: Probability of dropping colour.
        blur: Probability of Gaussian blur.
        blur_sigma: Smallest and largest sigma, px.
        order: What follows the crop, first to last.
    """

    image_size: int
    channels: int
    crop_scale: tuple[float, float]
    crop_ratio: tuple[float, float]
    flip: float
    jitter: Jitter
    grayscale: float
    blur: float
    blur_sigma: tuple[float, float]
    order: tuple[Operation, ...]

    @property
    def operations(self) -> list[Operation]:
        """What of the order does anything."""
        used: dict[Operation, bool] = {
            "flip": self.flip > 0,
            "jitter": self.jitter.share > 0,
            "grayscale": self.grayscale > 0 and self.channels == 3,
            "blur": self.blur > 0,
        }
        return [name for name in self.order if used[name]]


def blur_kernel(image_size: int) -> int:
    """Side of the blur's kernel: a tenth of the image, odd, at least 3 (SimCLR, appendix A).

    A small kernel cuts the Gaussian off: sigma 2 acts like 0.8 with 3 px, 1.3 with 5, 1.9 with 9.
    """
    return max(3, image_size // 10 | 1)
