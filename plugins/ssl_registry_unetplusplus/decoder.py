"""The nested decoder of U-Net++."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ssl_registry import ConfigError, Decoder
from ssl_registry.nn import double_conv, doublings, resize_to
from ssl_registry_unetplusplus.config import UNetPlusPlusConfig


class UNetPlusPlusDecoder(Decoder):
    """A grid of double convolutions in place of the skips (Zhou et al. 2018, equation 1).

    With `x[i][0]` the backbone's level `i`, node `j` of that level is::

        x[i][j] = conv(concat(x[i][0], ..., x[i][j-1], up(x[i+1][j-1])))

    where `up` resizes to the size of level `i` (bilinear, corners aligned), so any size works.
    The map is the last node of the finest level. Where that level is coarser than the image,
    further doublings with a double convolution each lead to the image's size. With the backbone
    `unet_encoder` it is the published net: 36,628,481 parameters at widths 64 to 1024 (one
    channel, one output), 9,162,753 at 32 to 512. Deep supervision, a matter of training with one
    head per node of the finest level, is not part of it.

    Args:
        config: Its settings.
        channels: Channels of the pyramid's levels, finest first.
        reductions: Their reductions, finest first.

    Raises:
        ConfigError: `widths` has another number of entries than there are levels but one.
    """

    def __init__(
        self, config: UNetPlusPlusConfig, channels: Sequence[int], reductions: Sequence[int]
    ) -> None:
        super().__init__()
        widths = tuple(channels[:-1] if config.widths is None else config.widths)
        if len(widths) != len(channels) - 1:
            raise ConfigError(
                f"decoder.widths has {len(widths)} entries, but the backbone has "
                f"{len(channels)} levels; give {len(channels) - 1}, finest first"
            )
        self.columns = nn.ModuleList(
            nn.ModuleList(
                double_conv(_node_inputs(channels, widths, level, column), widths[level])
                for level in range(len(widths) + 1 - column)
            )
            for column in range(1, len(widths) + 1)
        )
        self.out_channels = widths[0] if widths else channels[0]
        self.to_image = nn.ModuleList(
            double_conv(self.out_channels, self.out_channels)
            for _ in range(doublings(reductions[0], 1))
        )

    def forward(self, features: Sequence[Tensor], output_size: tuple[int, int]) -> Tensor:
        """A map `[N, out_channels, *output_size]` from feature maps, finest first."""
        rows = [[feature] for feature in features]
        for column in self.columns:
            for level, node in enumerate(cast("nn.ModuleList", column)):
                # The row below still ends with the column before: its turn comes next.
                below = _bilinear(rows[level + 1][-1], _size(features[level]))
                rows[level].append(node(torch.cat([*rows[level], below], dim=1)))
        x = rows[0][-1]
        for index, conv in enumerate(self.to_image):
            last = index == len(self.to_image) - 1
            x = conv(_bilinear(x, output_size if last else (2 * x.shape[-2], 2 * x.shape[-1])))
        return x


def _node_inputs(channels: Sequence[int], widths: Sequence[int], level: int, column: int) -> int:
    """Channels that node `column` (from 1) of `level` takes."""
    below = channels[level + 1] if column == 1 else widths[level + 1]
    return channels[level] + (column - 1) * widths[level] + below


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[-2], x.shape[-1]


def _bilinear(x: Tensor, size: tuple[int, int]) -> Tensor:
    return resize_to(x, size, mode="bilinear", align_corners=True)
