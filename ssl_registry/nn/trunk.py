"""The part of a network that a method pre-trains."""

from __future__ import annotations

from torch import Tensor, nn

from ssl_registry.interfaces.backbone import Backbone
from ssl_registry.interfaces.decoder import Decoder


class Trunk(nn.Module):
    """A backbone, or a backbone with its decoder, with one embedding per image.

    Attributes:
        embed_dim: Length of the embedding: the channels of the last backbone level, or of the
            decoder's map if there is a decoder.
    """

    def __init__(self, backbone: Backbone, decoder: Decoder | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = decoder
        self.embed_dim = backbone.channels[-1] if decoder is None else decoder.out_channels

    def forward(self, images: Tensor) -> Tensor:
        """The dense map that `embed` pools, `[N, embed_dim, h, w]`, of images `[N, C, H, W]`."""
        features: list[Tensor] = self.backbone(images)
        if self.decoder is None:
            return features[-1]
        dense: Tensor = self.decoder(features, (images.shape[-2], images.shape[-1]))
        return dense

    def embed(self, images: Tensor) -> Tensor:
        """Global average pool of the dense map: `[N, embed_dim]`."""
        dense: Tensor = self(images)
        return dense.mean(dim=(-2, -1))
