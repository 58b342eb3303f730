"""Encoders that are a chain of blocks with max-pooling between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ssl_registry.interfaces.backbone import Backbone


class PoolingEncoder(Backbone):
    """One block per level and 2x2 max-pooling between levels.

    Reductions are 1, 2, 4, ...; sizes are rounded down.

    Args:
        in_channels: Channels of the images it takes.
        levels: The blocks, finest first; a block keeps the size of its map.
        channels: Channels that each block gives.
    """

    def __init__(
        self, in_channels: int, levels: Iterable[nn.Module], channels: Sequence[int]
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.channels = tuple(channels)
        self.reductions = tuple(2**level for level in range(len(channels)))
        self.minimum_size = self.reductions[-1]
        self.levels = nn.ModuleList(levels)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps `[N, channels[i], H // 2**i, W // 2**i]` of images `[N, C, H, W]`."""
        features: list[Tensor] = []
        for level in self.levels:
            below = F.max_pool2d(features[-1], kernel_size=2) if features else images
            features.append(level(below))
        return features
