"""The residual U-Net's expanding path."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssl_registry.nn import DecoderStep, SteppedDecoder, resize_to, skip_levels
from ssl_registry_residual_unet.blocks import ResidualUnit, norm_act
from ssl_registry_residual_unet.config import ResidualUNetConfig


class _ResidualStep(DecoderStep):
    """Transposed convolution, residual unit of one convolution, then the skip is joined."""

    def __init__(self, inputs: int, skip: int, width: int, *, plain_end: bool) -> None:
        super().__init__()
        self.up = nn.Sequential(
            nn.ConvTranspose2d(inputs, width, kernel_size=3, stride=2, padding=1, output_padding=1),
            *norm_act(width),
        )
        self.unit = ResidualUnit(width, width, convolutions=1, plain_end=plain_end)
        self.out_channels = width + skip

    def forward(self, x: Tensor, skip: Tensor | None, size: tuple[int, int]) -> Tensor:
        x = self.unit(resize_to(self.up(x), size))
        return x if skip is None else torch.cat([skip, x], dim=1)


class ResidualUNetDecoder(SteppedDecoder):
    """3x3 transposed convolutions with a residual unit each (Kerfoot et al. 2018).

    A step ends by concatenating its skip, which the next one upsamples too. The last step's unit
    has a bare convolution. Sizes are handled as in `SteppedDecoder`, so any image size works.

    The published net is this decoder over `residual_encoder`, whose last step has as many channels
    as there are classes and whose map is the logits: with `widths = (256, 128, 64, 1)` the two
    have its 25,969,628 parameters (one channel). Such a map has nothing to pre-train, so by
    default the last step has 32 channels and a 1x1 convolution follows: 26,014,642, which is
    45,014 more (44,981 in the step, 33 in the head).

    Args:
        config: Its settings.
        channels: Channels of the pyramid's levels, finest first.
        reductions: Their reductions, finest first.

    Raises:
        ConfigError: `widths` has fewer entries than there are steps.
    """

    def __init__(
        self, config: ResidualUNetConfig, channels: Sequence[int], reductions: Sequence[int]
    ) -> None:
        steps_left = len(skip_levels(reductions))

        def step(inputs: int, skip: int, width: int) -> DecoderStep:
            nonlocal steps_left
            steps_left -= 1
            return _ResidualStep(inputs, skip, width, plain_end=steps_left == 0)

        super().__init__(step, config.widths, channels, reductions)
