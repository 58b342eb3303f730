"""Speckle: correlated multiplicative noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RandomSpeckle(nn.Module):
    """Multiplies images by `1 + s n`, where n is noise of mean 0, variance 1 and a grain.

    Speckle is the interference of echoes within a resolution cell: its amplitude grows with the
    signal (it is multiplicative), and neighbouring pixels share it. n is white Gaussian noise
    smoothed by a Gaussian of sigma `size` and brought back to variance 1, so that pixels d apart
    correlate by `exp(-d^2 / (4 size^2))`; a Gaussian stands for the Rayleigh distribution of raw
    echoes because images are averaged and log-compressed before they are stored.

    Args:
        share: Probability that an image gets speckle.
        strength: Smallest and largest s; drawn per image, uniform.
        size: Smallest and largest sigma of the grain, px; drawn per image, uniform.
    """

    def __init__(
        self, share: float, strength: tuple[float, float], size: tuple[float, float]
    ) -> None:
        super().__init__()
        self._share, self._strength, self._size = share, strength, size
        self._radius = math.ceil(3 * size[1])

    def forward(self, images: Tensor) -> Tensor:
        """Images `[N, C, H, W]` in [0, 1] with speckle; channels share it, so gray stays gray."""
        number, _, height, width = images.shape
        drawn = torch.rand(number, 3)
        chosen = (drawn[:, 0] < self._share).float()
        strength = chosen * _between(self._strength, drawn[:, 1])
        size = _between(self._size, drawn[:, 2])
        white = torch.randn(number, height + 2 * self._radius, width + 2 * self._radius)
        noise = self._smoothed(white.to(images), size.to(images))
        factor = 1 + strength.to(images)[:, None, None] * noise
        return (images * factor[:, None]).clamp(0, 1)

    def _smoothed(self, noise: Tensor, size: Tensor) -> Tensor:
        """Noise `[N, H + 2r, W + 2r]` smoothed to `[N, H, W]`, of variance 1 as before."""
        places = torch.arange(-self._radius, self._radius + 1).to(noise)
        kernel = torch.exp(-0.5 * (places / size[:, None]) ** 2)  # [N, 2r + 1]
        kernel = kernel / kernel.norm(dim=1, keepdim=True)
        groups = len(noise)
        rows = F.conv2d(noise[None], kernel[:, None, None, :], groups=groups)
        smoothed: Tensor = F.conv2d(rows, kernel[:, None, :, None], groups=groups)[0]
        return smoothed


def _between(limits: tuple[float, float], share: Tensor) -> Tensor:
    low, high = limits
    return low + (high - low) * share
