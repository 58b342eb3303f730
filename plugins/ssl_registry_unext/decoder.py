"""UNeXt's decoder."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from torch import Tensor, nn

from ssl_registry.nn import DecoderStep, SteppedDecoder, resize_to, skip_levels
from ssl_registry_unext.blocks import TokenisedMLP
from ssl_registry_unext.config import UNeXtConfig


class _AdditiveStep(DecoderStep):
    """3x3 convolution, bilinear resizing, ReLU; the skip is added; perhaps a tokenised MLP.

    The convolution is normalised where there is a skip, as in the published net.
    """

    def __init__(self, inputs: int, skip: int, width: int, *, tokenised: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, width, kernel_size=3, padding=1)
        self.norm: nn.Module = nn.BatchNorm2d(width) if skip else nn.Identity()
        self.mlp: nn.Module = TokenisedMLP(width) if tokenised else nn.Identity()
        self.out_channels = width

    def forward(self, x: Tensor, skip: Tensor | None, size: tuple[int, int]) -> Tensor:
        x = self.norm(self.conv(x))
        x = resize_to(x, size, mode="bilinear", align_corners=False).relu()
        result: Tensor = self.mlp(x if skip is None else x + skip)
        return result


class UNeXtDecoder(SteppedDecoder):
    """Convolution, bilinear resizing to the skip's size, addition (Valanarasu and Patel 2022).

    The first steps end with a `TokenisedMLP`. Because skips are added, a step has the channels of
    its skip; a step without one has those of the next finer level, or of the finest. With the
    backbone `unext_encoder` it is the published net: 1,471,921 parameters with three channels and
    one output (1,471,633 with one channel, which the reference network cannot take).

    Args:
        config: Its settings.
        channels: Channels of the pyramid's levels, finest first.
        reductions: Their reductions, finest first.
    """

    def __init__(
        self, config: UNeXtConfig, channels: Sequence[int], reductions: Sequence[int]
    ) -> None:
        position = count()

        def step(inputs: int, skip: int, width: int) -> DecoderStep:
            tokenised = next(position) < config.token_steps
            return _AdditiveStep(inputs, skip, width, tokenised=tokenised)

        super().__init__(step, additive_widths(channels, reductions), channels, reductions)


def additive_widths(channels: Sequence[int], reductions: Sequence[int]) -> list[int]:
    """The width of each step, coarsest first: that of the level it arrives at or heads for.

    >>> additive_widths([16, 32, 128], [2, 4, 16])
    [32, 32, 16, 16]
    """
    widths: list[int] = []
    width = channels[0]
    for level in reversed(skip_levels(reductions)):
        width = width if level is None else channels[level]
        widths.append(width)
    return widths[::-1]
