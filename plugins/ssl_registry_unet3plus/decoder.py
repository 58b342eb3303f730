"""The full-scale decoder of UNet 3+."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_registry import Decoder
from ssl_registry.nn import conv_norm_relu, resize_to
from ssl_registry_unet3plus.config import UNet3PlusConfig


class UNet3PlusDecoder(Decoder):
    """Every level is fused from all scales (Huang et al. 2020, equation 1).

    For level `i` of `L`, coarse to fine: the backbone's finer levels are max-pooled to its size,
    the backbone's own level is taken as it is, and the coarser levels (decoded ones; of the
    coarsest, the backbone's) are resized bilinearly. Each passes a 3x3 convolution to `width`
    channels, and all of them together another one, each with norm and ReLU, giving `L * width`
    channels. The map is the finest level, resized bilinearly where that is coarser than the
    image. Sizes are those of the pyramid, so any image size works.

    With the backbone `unet_encoder` at widths 64 to 1024 it is the published net. Its reference
    network ends in a 3x3 convolution and has 26,970,625 parameters (one channel, one output);
    here the head is a 1x1 convolution as for every decoder, which has 8 * 320 = 2,560 weights
    less: 26,968,065. Deep supervision and the classification-guided module, matters of training
    with further heads, are not part of it.

    Args:
        config: Its settings.
        channels: Channels of the pyramid's levels, finest first.
        reductions: Their reductions, finest first.
    """

    def __init__(
        self, config: UNet3PlusConfig, channels: Sequence[int], reductions: Sequence[int]
    ) -> None:
        super().__init__()
        scales = len(channels)
        self._reductions = tuple(reductions)
        fused = scales * config.width
        self.levels = nn.ModuleList()
        for level in range(scales - 1):
            decoded = [fused] * (scales - 2 - level)
            inputs = [*channels[: level + 1], *decoded, channels[-1]]
            self.levels.append(_FullScaleLevel(inputs, config.width))
        self.out_channels = fused if len(self.levels) else channels[-1]

    def forward(self, features: Sequence[Tensor], output_size: tuple[int, int]) -> Tensor:
        """A map `[N, out_channels, *output_size]` from feature maps, finest first."""
        maps = list(features)
        for level in range(len(self.levels) - 1, -1, -1):
            size = (maps[level].shape[-2], maps[level].shape[-1])
            finer = [self._pooled(maps[j], j, level, size) for j in range(level)]
            coarser = [_bilinear(x, size) for x in maps[level + 1 :]]
            # Finer levels still hold the backbone's maps, coarser ones the decoded ones.
            maps[level] = self.levels[level]([*finer, maps[level], *coarser])
        return _bilinear(maps[0], output_size)

    def _pooled(self, x: Tensor, level: int, target: int, size: tuple[int, int]) -> Tensor:
        kernel = max(1, round(self._reductions[target] / self._reductions[level]))
        return resize_to(F.max_pool2d(x, kernel_size=kernel, ceil_mode=True), size)


class _FullScaleLevel(nn.Module):
    """Maps of one size, each brought to `width` channels, concatenated and fused."""

    def __init__(self, inputs: Sequence[int], width: int) -> None:
        super().__init__()
        fused = len(inputs) * width
        self.scales = nn.ModuleList(nn.Sequential(*conv_norm_relu(c, width)) for c in inputs)
        self.fuse = nn.Sequential(*conv_norm_relu(fused, fused))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        scaled = [scale(x) for scale, x in zip(self.scales, maps, strict=True)]
        result: Tensor = self.fuse(torch.cat(scaled, dim=1))
        return result


def _bilinear(x: Tensor, size: tuple[int, int]) -> Tensor:
    return resize_to(x, size, mode="bilinear", align_corners=False)
