"""The residual U-Net's contracting path."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from ssl_registry import Backbone
from ssl_registry_residual_unet.blocks import ResidualUnit
from ssl_registry_residual_unet.config import ResidualEncoderConfig


class ResidualEncoder(Backbone):
    """Residual units of two convolutions (Zhang et al. 2018), as in Kerfoot et al. 2018.

    Strided convolutions halve the size, instance norm and PReLU follow each convolution. The last
    unit, the bottleneck, keeps the size; its map is concatenated with the one it was made from,
    so the coarsest level has `widths[-2] + widths[-1]` channels. Reductions are 2, 4, 8, ..., and
    sizes are rounded up. Instance norm needs more than one pixel, hence the smallest image side.
    """

    def __init__(self, config: ResidualEncoderConfig, in_channels: int) -> None:
        super().__init__()
        *strided, bottom = config.widths
        self.in_channels = in_channels
        self.channels = (*strided[:-1], strided[-1] + bottom)
        self.reductions = tuple(2 ** (level + 1) for level in range(len(strided)))
        self.minimum_size = self.reductions[-1] + 1
        self.levels = nn.ModuleList(
            ResidualUnit(a, b, stride=2) for a, b in pairwise((in_channels, *strided))
        )
        self.bottleneck = ResidualUnit(strided[-1], bottom)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps of images `[N, C, H, W]`, finest first, each half the size before."""
        features: list[Tensor] = []
        for level in self.levels:
            features.append(level(features[-1] if features else images))
        features[-1] = torch.cat([features[-1], self.bottleneck(features[-1])], dim=1)
        return features
