"""The U-Net's contracting path."""

from __future__ import annotations

from itertools import pairwise

from ssl_registry.nn import PoolingEncoder, double_conv
from ssl_registry_unet.config import UNetEncoderConfig


class UNetEncoder(PoolingEncoder):
    """Double convolutions with 2x2 max-pooling between them (Ronneberger et al. 2015, figure 1).

    Convolutions are padded and normalised, unlike the original's. The maps have reductions
    1, 2, 4, ... and sizes that are rounded down.
    """

    def __init__(self, config: UNetEncoderConfig, in_channels: int) -> None:
        levels = (double_conv(a, b) for a, b in pairwise((in_channels, *config.widths)))
        super().__init__(in_channels, levels, config.widths)
