"""The U-Net's expanding path, over the feature pyramid of any backbone."""

from __future__ import annotations

from collections.abc import Sequence

from ssl_registry.nn import ConcatenationStep, SteppedDecoder, double_conv, doubling
from ssl_registry_unet.config import UNetDecoderConfig


class UNetDecoder(SteppedDecoder):
    """Upsampling, concatenation with the skip, double convolution (Ronneberger et al. 2015).

    A step doubles the size. Where two levels lie further apart (reductions 4 and 16, say), and
    between the finest level and the image, steps without a skip fill the gap. Before it is
    concatenated, an upsampled map is resized to its skip's size wherever that differs, because
    pooling rounds sizes down and strides round them up; so any image size works.

    Args:
        config: Its settings.
        channels: Channels of the pyramid's levels, finest first.
        reductions: Their reductions, finest first.

    Raises:
        ConfigError: `widths` has fewer entries than there are steps.
    """

    def __init__(
        self, config: UNetDecoderConfig, channels: Sequence[int], reductions: Sequence[int]
    ) -> None:
        def step(inputs: int, skip: int, width: int) -> ConcatenationStep:
            up = doubling(inputs, width, config.upsampling)
            return ConcatenationStep(up, double_conv(width + skip, width), width)

        super().__init__(step, config.widths, channels, reductions)
