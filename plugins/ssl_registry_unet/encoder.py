"""The U-Net's contracting path."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from ssl_registry import Backbone
from ssl_registry_unet.blocks import double_conv
from ssl_registry_unet.config import UNetEncoderConfig


class UNetEncoder(Backbone):
    """Double convolutions with 2x2 max-pooling between them (Ronneberger et al. 2015, figure 1).

    Convolutions are padded and normalised, unlike the original's. The maps have reductions
    1, 2, 4, ... and sizes that are rounded down.
    """

    def __init__(self, config: UNetEncoderConfig, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.channels = config.widths
        self.reductions = tuple(2**level for level in range(len(config.widths)))
        self.minimum_size = self.reductions[-1]
        inputs = (in_channels, *config.widths[:-1])
        self.levels = nn.ModuleList(
            double_conv(a, b) for a, b in zip(inputs, config.widths, strict=True)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps `[N, widths[i], H // 2**i, W // 2**i]` of images `[N, C, H, W]`."""
        features: list[Tensor] = []
        for level in self.levels:
            below = F.max_pool2d(features[-1], kernel_size=2) if features else images
            features.append(level(below))
        return features
