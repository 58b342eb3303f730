"""The network that is fine-tuned: backbone, decoder and a 1x1 convolution."""

from __future__ import annotations

from torch import Tensor, nn

from ssl_registry.interfaces.backbone import Backbone
from ssl_registry.interfaces.decoder import Decoder


class SegmentationNetwork(nn.Module):
    """Maps images `[N, C, H, W]` to logits `[N, outputs, H, W]`."""

    def __init__(self, backbone: Backbone, decoder: Decoder, outputs: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = decoder
        self.head = nn.Conv2d(decoder.out_channels, outputs, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of normalised images."""
        features = self.backbone(images)
        dense = self.decoder(features, (images.shape[-2], images.shape[-1]))
        logits: Tensor = self.head(dense)
        return logits
