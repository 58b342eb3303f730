"""The U-Net's expanding path, over the feature pyramid of any backbone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_registry import ConfigError, Decoder
from ssl_registry_unet.blocks import conv_norm_relu, double_conv
from ssl_registry_unet.config import UNetDecoderConfig


class UNetDecoder(Decoder):
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
        super().__init__()
        self._skips = skip_levels(reductions)
        if len(self._skips) > len(config.widths):
            raise ConfigError(
                f"decoder.widths has {len(config.widths)} entries, but from reduction "
                f"{reductions[-1]} to the image there are {len(self._skips)} steps"
            )
        self.steps = nn.ModuleList()
        inputs = channels[-1]
        for skip, width in zip(self._skips, config.widths, strict=False):
            skip_channels = 0 if skip is None else channels[skip]
            self.steps.append(_Step(inputs, skip_channels, width, config.upsampling))
            inputs = width
        self.out_channels = inputs

    def forward(self, features: Sequence[Tensor], output_size: tuple[int, int]) -> Tensor:
        """A map `[N, out_channels, *output_size]` from feature maps, finest first."""
        x = features[-1]
        last = len(self.steps) - 1
        for index, (step, level) in enumerate(zip(self.steps, self._skips, strict=True)):
            skip = None if level is None else features[level]
            x = step(x, skip, output_size if index == last else None)
        return x


def skip_levels(reductions: Sequence[int]) -> list[int | None]:
    """For each step from the coarsest level to the image, the level it is joined with, if any.

    >>> skip_levels([1, 2, 4, 8, 16])
    [3, 2, 1, 0]
    >>> skip_levels([4, 8, 16, 32])
    [2, 1, 0, None, None]
    """
    steps: list[int | None] = []
    coarse = reductions[-1]
    for level in range(len(reductions) - 2, -1, -1):
        steps += [None] * (_doublings(coarse, reductions[level]) - 1) + [level]
        coarse = reductions[level]
    return steps + [None] * _doublings(coarse, 1)


def _doublings(coarse: int, fine: int) -> int:
    """How often a map of reduction `coarse` is doubled to get to `fine`, rounded up."""
    return max(0, (-(-coarse // fine) - 1).bit_length())


class _Step(nn.Module):
    """One upsampling step: `[N, inputs, h, w]` to `[N, outputs, H, W]`."""

    def __init__(self, inputs: int, skip: int, outputs: int, upsampling: str) -> None:
        super().__init__()
        self.up: nn.Module
        if upsampling == "transposed":
            self.up = nn.ConvTranspose2d(inputs, outputs, kernel_size=2, stride=2)
        else:
            self.up = nn.Sequential(nn.Upsample(scale_factor=2), *conv_norm_relu(inputs, outputs))
        self.conv = double_conv(outputs + skip, outputs)

    def forward(
        self, x: Tensor, skip: Tensor | None, output_size: tuple[int, int] | None
    ) -> Tensor:
        x = self.up(x)
        size = output_size if skip is None else (skip.shape[-2], skip.shape[-1])
        if size is not None and size != (x.shape[-2], x.shape[-1]):
            # Nearest neighbour has an exact gradient on every device; bilinear sums atomically.
            x = F.interpolate(x, size=size, mode="nearest")
        joined = x if skip is None else torch.cat([skip, x], dim=1)
        result: Tensor = self.conv(joined)
        return result
