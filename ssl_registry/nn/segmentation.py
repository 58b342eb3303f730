"""The network that is fine-tuned: backbone, decoder and a convolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssl_registry.interfaces.backbone import Backbone
from ssl_registry.interfaces.decoder import Decoder


class SegmentationNetwork(nn.Module):
    """Maps images `[N, C, H, W]` to logits `[N, outputs, H, W]`."""

    def __init__(self, backbone: Backbone, decoder: Decoder, outputs: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = decoder
        side = decoder.head_kernel_size
        self.head = nn.Conv2d(decoder.out_channels, outputs, side, padding=side // 2)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of normalised images."""
        features = self.backbone(images)
        dense = self.decoder(features, (images.shape[-2], images.shape[-1]))
        logits: Tensor = self.head(dense)
        return logits


def output_count(classes: int, exclusive: bool) -> int:
    """How many outputs a network needs for `classes` foreground classes.

    One class, or classes that may overlap, take one sigmoid output each. Several exclusive
    classes take a softmax over the classes and the background, which is output 0.
    """
    return classes + 1 if exclusive and classes > 1 else classes


def foreground_probabilities(logits: Tensor, classes: int) -> Tensor:
    """Probabilities fp32 `[N, classes, H, W]` from logits `[N, outputs, H, W]`.

    Sigmoid where each output is a class; softmax without the background where there is one
    output more (see `output_count`).
    """
    with torch.autocast(logits.device.type, enabled=False):
        if logits.shape[1] > classes:
            return logits.float().softmax(dim=1)[:, 1:]
        return logits.float().sigmoid()
