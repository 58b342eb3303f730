"""Stages that halve the image, each a strided convolution."""

from itertools import pairwise

from torch import Tensor, nn

from conv_stages.config import ConvStagesConfig
from ssl_registry import Backbone


class ConvStages(Backbone):
    """A 3x3 convolution of stride 2, group normalisation and GELU per stage; sizes round up."""

    def __init__(self, config: ConvStagesConfig, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.channels = config.widths
        self.reductions = tuple(2 ** (stage + 1) for stage in range(len(config.widths)))
        self.minimum_size = self.reductions[-1]
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1), nn.GroupNorm(1, b), nn.GELU())
            for a, b in pairwise((in_channels, *config.widths))
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps of reductions 2, 4, 8, ..., finest first."""
        features: list[Tensor] = []
        for stage in self.stages:
            features.append(stage(features[-1] if features else images))
        return features
