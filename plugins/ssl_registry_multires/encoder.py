"""MultiResUNet's contracting path."""

from __future__ import annotations

from ssl_registry.nn import PoolingEncoder
from ssl_registry_multires.blocks import MultiResBlock
from ssl_registry_multires.config import MultiResEncoderConfig


class MultiResEncoder(PoolingEncoder):
    """MultiRes blocks with 2x2 max-pooling between them (Ibtehaz and Rahman 2020, figure 5).

    By default the maps have 51, 105, 212, 426 and 853 channels, reductions 1, 2, 4, ... and sizes
    that are rounded down.
    """

    def __init__(self, config: MultiResEncoderConfig, in_channels: int) -> None:
        levels: list[MultiResBlock] = []
        for width in config.widths:
            inputs = levels[-1].out_channels if levels else in_channels
            levels.append(MultiResBlock(inputs, width, config.alpha))
        super().__init__(in_channels, levels, [level.out_channels for level in levels])
