"""The selective-kernel U-Net's expanding path."""

from __future__ import annotations

from collections.abc import Sequence

from ssl_registry.nn import ConcatenationStep, SteppedDecoder, doubling
from ssl_registry_sk.blocks import double_selective
from ssl_registry_sk.config import SKUNetConfig


class SKUNetDecoder(SteppedDecoder):
    """The U-Net's decoder with selective-kernel blocks (Byra et al. 2020, figure 1).

    2x2 transposed convolution, concatenation with the skip, two selective-kernel blocks. Sizes
    are handled as in `SteppedDecoder`, so any image size works. With the backbone `sk_encoder` it
    is the published net: 3,934,977 parameters with one channel and one output, and 15,713,793
    with twice the widths.

    Args:
        config: Its settings.
        channels: Channels of the pyramid's levels, finest first.
        reductions: Their reductions, finest first.

    Raises:
        ConfigError: `widths` has fewer entries than there are steps.
    """

    def __init__(
        self, config: SKUNetConfig, channels: Sequence[int], reductions: Sequence[int]
    ) -> None:
        def step(inputs: int, skip: int, width: int) -> ConcatenationStep:
            up = doubling(inputs, width, "transposed")
            conv = double_selective(width + skip, width, config.compression)
            return ConcatenationStep(up, conv, width)

        super().__init__(step, config.widths, channels, reductions)
