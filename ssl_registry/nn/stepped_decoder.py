"""Decoders that climb from the coarsest level to the image in steps that double the size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ssl_registry.errors import ConfigError
from ssl_registry.interfaces.decoder import Decoder
from ssl_registry.nn.blocks import resize_to


class DecoderStep(nn.Module, ABC):
    """One step of a `SteppedDecoder`.

    Attributes:
        out_channels: Channels of the map it gives.
    """

    out_channels: int

    @abstractmethod
    def forward(self, x: Tensor, skip: Tensor | None, size: tuple[int, int]) -> Tensor:
        """A map `[N, out_channels, *size]`.

        Args:
            x: The map of the step before, `[N, inputs, h, w]`.
            skip: The level that is joined in this step, `[N, skip, *size]`, if any.
            size: The size of the skip, or of the image in the last step, or twice that of `x`.
        """


class ConcatenationStep(DecoderStep):
    """Upsampling, concatenation with the skip, convolutions.

    Args:
        up: Doubles the size of the map; it is resized afterwards where the skip's size differs.
        conv: Takes the skip's channels followed by those that `up` gives.
        out_channels: Channels that `conv` gives.
    """

    def __init__(self, up: nn.Module, conv: nn.Module, out_channels: int) -> None:
        super().__init__()
        self.up = up
        self.conv = conv
        self.out_channels = out_channels

    def forward(self, x: Tensor, skip: Tensor | None, size: tuple[int, int]) -> Tensor:
        """A map `[N, out_channels, *size]`; see `DecoderStep`."""
        x = resize_to(self.up(x), size)
        joined = x if skip is None else torch.cat([self.prepared(skip, x), x], dim=1)
        result: Tensor = self.conv(joined)
        return result

    def prepared(self, skip: Tensor, x: Tensor) -> Tensor:
        """The skip as it is concatenated with the upsampled map `x`: unchanged."""
        return skip


StepFactory = Callable[[int, int, int], DecoderStep]
"""Builds a step from the channels of its input, of its skip (0: none), and its width."""


class SteppedDecoder(Decoder):
    """Steps from the coarsest level of any feature pyramid to the image.

    A step doubles the size and joins the level of that size. Where two levels lie further apart
    (reductions 4 and 16, say), and between the finest level and the image, steps without a skip
    fill the gap.

    Args:
        make_step: Builds a step.
        widths: The steps' widths, coarsest first; as many are used as there are steps.
        channels: Channels of the pyramid's levels, finest first.
        reductions: Their reductions, finest first.

    Raises:
        ConfigError: `widths` has fewer entries than there are steps.
    """

    def __init__(
        self,
        make_step: StepFactory,
        widths: Sequence[int],
        channels: Sequence[int],
        reductions: Sequence[int],
    ) -> None:
        super().__init__()
        self._skips = skip_levels(reductions)
        if len(self._skips) > len(widths):
            raise ConfigError(
                f"decoder.widths has {len(widths)} entries, but from reduction "
                f"{reductions[-1]} to the image there are {len(self._skips)} steps"
            )
        self.steps = nn.ModuleList()
        self.out_channels = channels[-1]
        for skip, width in zip(self._skips, widths, strict=False):
            step = make_step(self.out_channels, 0 if skip is None else channels[skip], width)
            self.steps.append(step)
            self.out_channels = step.out_channels

    def forward(self, features: Sequence[Tensor], output_size: tuple[int, int]) -> Tensor:
        """A map `[N, out_channels, *output_size]` from feature maps, finest first."""
        x = features[-1]
        last = len(self.steps) - 1
        for index, (step, level) in enumerate(zip(self.steps, self._skips, strict=True)):
            skip = None if level is None else features[level]
            if skip is not None:
                size = (skip.shape[-2], skip.shape[-1])
            else:
                size = (2 * x.shape[-2], 2 * x.shape[-1]) if index < last else output_size
            x = step(x, skip, size)
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
        steps += [None] * (doublings(coarse, reductions[level]) - 1) + [level]
        coarse = reductions[level]
    return steps + [None] * doublings(coarse, 1)


def doublings(coarse: int, fine: int) -> int:
    """How often a map of reduction `coarse` is doubled to get to `fine`, rounded up."""
    return max(0, (-(-coarse // fine) - 1).bit_length())
