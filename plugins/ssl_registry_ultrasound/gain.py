"""Gain that changes with depth."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RandomDepthGain(nn.Module):
    """Multiplies each row of an image by a gain that varies smoothly from top to bottom.

    Time gain compensation makes up for attenuation; sonographers set it by a column of sliders.
    Here the gains at equally spaced depths are drawn from [1 - strength, 1 + strength], uniform and
    independent, and interpolated linearly between them.

    Args:
        strength: Largest relative change of the gain, in [0, 1].
        sliders: Number of depths, from the first row to the last.
    """

    def __init__(self, strength: float, sliders: int) -> None:
        super().__init__()
        self._strength, self._sliders = strength, sliders

    def forward(self, images: Tensor) -> Tensor:
        """Images `[N, C, H, W]` in [0, 1] with another gain per row."""
        drawn = (2 * torch.rand(len(images), 1, self._sliders) - 1).to(images)
        curve = F.interpolate(drawn, images.shape[2], mode="linear", align_corners=True)
        return (images * (1 + self._strength * curve[..., None])).clamp(0, 1)


class RandomGamma(nn.Module):
    """Raises intensities to a power whose logarithm is uniform in [-log largest, log largest].

    So brightening and darkening are equally likely, which a uniform exponent would not give.

    Args:
        largest: Largest exponent, and inverse of the smallest.
    """

    def __init__(self, largest: float) -> None:
        super().__init__()
        self._largest = largest

    def forward(self, images: Tensor) -> Tensor:
        """Images `[N, C, H, W]` in [0, 1] with another gray map each."""
        exponent = self._largest ** (2 * torch.rand(len(images), 1, 1, 1) - 1)
        return images.clamp(0, 1) ** exponent.to(images)
