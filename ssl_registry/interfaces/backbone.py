"""The contract of a backbone: images in, a pyramid of feature maps out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """An encoder. Built by `Backbone(config, in_channels)`.

    Attributes:
        in_channels: Channels of the images it takes.
        channels: Channels of each feature map, finest first.
        reductions: By what factor each map is smaller than the image, finest first.
        spatial_dims: 2 for images.
        minimum_size: The smallest image side that works in training mode.
    """

    in_channels: int
    channels: tuple[int, ...]
    reductions: tuple[int, ...]
    spatial_dims: int = 2
    minimum_size: int = 8

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps `[N, channels[i], ~H/reductions[i], ~W/reductions[i]]`, finest first.

        Args:
            images: float `[N, in_channels, H, W]`, normalised.
        """

    def exported(self) -> nn.Module:
        """The module whose own state-dict keys are the exchange format.

        A backbone that wraps a library's model returns that model, so that weights keep the
        library's keys.
        """
        return self

    def library_config(self) -> dict[str, Any]:
        """`config.json` of the exchange folder as the target library reads it; empty if none."""
        return {}
