"""UNeXt's encoder."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from ssl_registry import Backbone
from ssl_registry_unext.blocks import TokenisedMLP, initialise, on_channels
from ssl_registry_unext.config import UNeXtEncoderConfig


class UNeXtEncoder(Backbone):
    """Convolutional stages, then tokenised ones (Valanarasu and Patel 2022, figure 1).

    A convolutional stage is a 3x3 convolution with norm, 2x2 max-pooling and ReLU. A tokenised
    stage embeds overlapping patches (3x3 convolution of stride 2, layer normalisation) and applies
    a `TokenisedMLP`. Reductions are 2, 4, 8, ...; convolutional stages round sizes down, tokenised
    ones up, so any image of 8 px or more works and none has to be padded.
    """

    def __init__(self, config: UNeXtEncoderConfig, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.channels = (*config.conv_widths, *config.token_widths)
        self.reductions = tuple(2 ** (level + 1) for level in range(len(self.channels)))
        self.minimum_size = 2 ** len(config.conv_widths)
        self.conv_stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(a, b, kernel_size=3, padding=1),
                nn.BatchNorm2d(b),
                nn.MaxPool2d(2),
                nn.ReLU(inplace=True),
            )
            for a, b in pairwise((in_channels, *config.conv_widths))
        )
        self.token_stages = nn.ModuleList(
            _TokenStage(a, b) for a, b in pairwise((config.conv_widths[-1], *config.token_widths))
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps of images `[N, C, H, W]`, finest first, each half the size before."""
        features: list[Tensor] = []
        for stage in (*self.conv_stages, *self.token_stages):
            features.append(stage(features[-1] if features else images))
        return features


class _TokenStage(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(inputs, outputs, kernel_size=3, stride=2, padding=1)
        initialise(self.embed)
        self.norm = nn.LayerNorm(outputs)
        self.mlp = TokenisedMLP(outputs)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.mlp(on_channels(self.norm, self.embed(x)))
        return result
