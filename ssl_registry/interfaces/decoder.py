"""The contract of a decoder: a feature pyramid in, a map at image size out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn


class Decoder(nn.Module, ABC):
    """Built by `Decoder(config, channels, reductions)` from a backbone's pyramid.

    Attributes:
        out_channels: Channels of the map it gives.
    """

    out_channels: int

    @abstractmethod
    def forward(self, features: Sequence[Tensor], output_size: tuple[int, int]) -> Tensor:
        """A map `[N, out_channels, *output_size]` from feature maps, finest first."""
