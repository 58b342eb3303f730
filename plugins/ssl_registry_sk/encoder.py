"""The selective-kernel U-Net's contracting path."""

from __future__ import annotations

from itertools import pairwise

from ssl_registry.nn import PoolingEncoder
from ssl_registry_sk.blocks import double_selective
from ssl_registry_sk.config import SKEncoderConfig


class SKEncoder(PoolingEncoder):
    """Two selective-kernel blocks per level, 2x2 max-pooling between levels (Byra et al. 2020).

    The maps have reductions 1, 2, 4, ... and sizes that are rounded down.
    """

    def __init__(self, config: SKEncoderConfig, in_channels: int) -> None:
        levels = (
            double_selective(a, b, config.compression)
            for a, b in pairwise((in_channels, *config.widths))
        )
        super().__init__(in_channels, levels, config.widths)
