"""Small networks of the kit's own, on which methods, decoders and tasks are checked."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ssl_registry.interfaces.backbone import Backbone
from ssl_registry.interfaces.decoder import Decoder
from ssl_registry.nn.blocks import conv_norm_relu, resize_to
from ssl_registry.nn.segmentation import SegmentationNetwork
from ssl_registry.nn.trunk import Trunk


class TinyBackbone(Backbone):
    """Two convolutions of stride 2 with batch normalisation; about 1,500 parameters."""

    minimum_size = 4

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.channels, self.reductions = (8, 16), (2, 4)
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            )
            for before, after in ((in_channels, 8), (8, 16))
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps of 8 and 16 channels at a half and a quarter of the size, rounded up."""
        features = []
        for level in self.levels:
            images = level(images)
            features.append(images)
        return features


class TinyDecoder(Decoder):
    """The finest map, convolved and enlarged, plus the coarsest one."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.out_channels = 4
        self.finest = nn.Sequential(*conv_norm_relu(channels[0], 4))
        self.coarsest = nn.Sequential(*conv_norm_relu(channels[-1], 4))

    def forward(self, features: Sequence[Tensor], output_size: tuple[int, int]) -> Tensor:
        """A map of 4 channels."""
        fine = resize_to(self.finest(features[0]), output_size)
        return fine + resize_to(self.coarsest(features[-1]), output_size)


def tiny_trunk(backbone: Backbone, *, decoder: bool = False) -> Trunk:
    """A trunk around a backbone, with a tiny decoder if it is to have one."""
    return Trunk(backbone, TinyDecoder(backbone.channels) if decoder else None)


def tiny_network(channels: int, outputs: int) -> SegmentationNetwork:
    """A segmentation network for images of `channels` channels."""
    backbone = TinyBackbone(channels)
    return SegmentationNetwork(backbone, TinyDecoder(backbone.channels), outputs)
