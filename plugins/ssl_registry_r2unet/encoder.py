"""R2U-Net's contracting path."""

from __future__ import annotations

from itertools import pairwise

from ssl_registry.nn import PoolingEncoder
from ssl_registry_r2unet.blocks import RecurrentResidualBlock
from ssl_registry_r2unet.config import R2EncoderConfig


class R2Encoder(PoolingEncoder):
    """Recurrent residual blocks with 2x2 max-pooling between them (Alom et al. 2018).

    The maps have reductions 1, 2, 4, ... and sizes that are rounded down.
    """

    def __init__(self, config: R2EncoderConfig, in_channels: int) -> None:
        levels = (
            RecurrentResidualBlock(a, b, config.recurrences)
            for a, b in pairwise((in_channels, *config.widths))
        )
        super().__init__(in_channels, levels, config.widths)
