"""R2U-Net's expanding path."""

from __future__ import annotations

from collections.abc import Sequence

from ssl_registry.nn import ConcatenationStep, SteppedDecoder, doubling
from ssl_registry_r2unet.blocks import RecurrentResidualBlock
from ssl_registry_r2unet.config import R2UNetConfig


class R2UNetDecoder(SteppedDecoder):
    """The U-Net's decoder with recurrent residual blocks (Alom et al. 2018).

    Nearest neighbour and a 3x3 convolution, concatenation with the skip, recurrent residual
    block. Sizes are handled as in `SteppedDecoder`, so any image size works. With the backbone
    `r2_encoder` it is the published net: 39,091,265 parameters with one channel and one output.

    Args:
        config: Its settings.
        channels: Channels of the pyramid's levels, finest first.
        reductions: Their reductions, finest first.

    Raises:
        ConfigError: `widths` has fewer entries than there are steps.
    """

    def __init__(
        self, config: R2UNetConfig, channels: Sequence[int], reductions: Sequence[int]
    ) -> None:
        def step(inputs: int, skip: int, width: int) -> ConcatenationStep:
            up = doubling(inputs, width, "nearest")
            conv = RecurrentResidualBlock(width + skip, width, config.recurrences)
            return ConcatenationStep(up, conv, width)

        super().__init__(step, config.widths, channels, reductions)
