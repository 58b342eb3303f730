"""The contract of a decoder: a feature pyramid in, a map at image size out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn


class Decoder(nn.Module, ABC):
    """Built by `Decoder(config, channels, reductions)` from a backbone's pyramid.

    Attributes:
        out_channels: Channels of the map it gives.
        head_kernel_size: Side of the convolution's kernel that makes logits of that map.
    """

    out_channels: int
    head_kernel_size: int = 1

    @abstractmethod
    def forward(self, features: Sequence[Tensor], output_size: tuple[int, int]) -> Tensor:
        """A map `[N, out_channels, *output_size]` from feature maps, finest first."""

    def library_config(self) -> dict[str, Any]:
        """Settings of the network of segmentation-models-pytorch that has this very decoder.

        `_model_class` and the arguments that concern the decoder, whose tensors have the same
        names there but for `steps`, which are `blocks`; empty if there is none.
        """
        return {}
