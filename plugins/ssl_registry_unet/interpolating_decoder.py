"""The U-Net decoder without learnt upsampling, of segmentation-models-pytorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from ssl_registry.nn import DecoderStep, SteppedDecoder, resize_to
from ssl_registry_unet.config import InterpolatingDecoderConfig


class _Step(DecoderStep):
    """Nearest neighbour to the skip's size, concatenation, two 3x3 convolutions without bias."""

    def __init__(self, inputs: int, skip: int, width: int) -> None:
        super().__init__()
        self.conv1 = _convolution(inputs + skip, width)
        self.conv2 = _convolution(width, width)
        self.out_channels = width

    def forward(self, x: Tensor, skip: Tensor | None, size: tuple[int, int]) -> Tensor:
        x = resize_to(x, size)
        joined = x if skip is None else torch.cat([x, skip], dim=1)
        result: Tensor = self.conv2(self.conv1(joined))
        return result


class InterpolatingDecoder(SteppedDecoder):
    """The decoder of `segmentation_models_pytorch.Unet` in its default form.

    A step interpolates the map to the skip's size, concatenates both and applies two convolutions,
    each with batch normalisation and ReLU. A 3x3 convolution makes the logits. A network with this
    decoder and an encoder of timm can be exported whole to segmentation-models-pytorch. With the
    backbone `resnet18` it has 14,321,937 parameters (one channel, one output).

    Args:
        config: Its settings.
        channels: Channels of the pyramid's levels, finest first.
        reductions: Their reductions, finest first.

    Raises:
        ConfigError: `widths` has fewer entries than there are steps.
    """

    head_kernel_size = 3

    def __init__(
        self,
        config: InterpolatingDecoderConfig,
        channels: Sequence[int],
        reductions: Sequence[int],
    ) -> None:
        super().__init__(_Step, config.widths, channels, reductions)

    def library_config(self) -> dict[str, Any]:
        """The arguments of `segmentation_models_pytorch.Unet` that concern its decoder."""
        widths = [cast("DecoderStep", step).out_channels for step in self.steps]
        return {"_model_class": "Unet", "encoder_depth": len(widths), "decoder_channels": widths}


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
