"""MultiResUNet's expanding path."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from torch import Tensor, nn

from ssl_registry.nn import ConcatenationStep, DecoderStep, SteppedDecoder, doubling
from ssl_registry_multires.blocks import MultiResBlock, ResPath
from ssl_registry_multires.config import MultiResUNetConfig


class _PathStep(ConcatenationStep):
    """A U-Net step whose skip takes a residual path."""

    def __init__(self, up: nn.Module, conv: MultiResBlock, path: ResPath) -> None:
        super().__init__(up, conv, conv.out_channels)
        self.path = path

    def prepared(self, skip: Tensor, x: Tensor) -> Tensor:
        result: Tensor = self.path(skip)
        return result


class MultiResUNetDecoder(SteppedDecoder):
    """Transposed convolution, residual path, concatenation, MultiRes block.

    Ibtehaz and Rahman 2020, figure 5: the residual path of the coarsest skip has one unit, each
    finer one a unit more. Sizes are handled as in `SteppedDecoder`, so any image size works.

    With the backbone `multires_encoder` it is the authors' PyTorch network, whose 8,920,115
    parameters (one channel, one output) include the 2 of a batch normalisation on its logits;
    that is left out, since it would bind the logits of a batch together: 8,920,113. With
    `narrow_paths`, as in the paper's table 1, there are 7,251,074.

    Args:
        config: Its settings.
        channels: Channels of the pyramid's levels, finest first.
        reductions: Their reductions, finest first.

    Raises:
        ConfigError: `widths` has fewer entries than there are steps.
    """

    def __init__(
        self, config: MultiResUNetConfig, channels: Sequence[int], reductions: Sequence[int]
    ) -> None:
        lengths = count(1)

        def step(inputs: int, skip: int, width: int) -> DecoderStep:
            up = doubling(inputs, width, "transposed")
            if skip == 0:
                block = MultiResBlock(width, width, config.alpha)
                return ConcatenationStep(up, block, block.out_channels)
            path_width = width if config.narrow_paths else skip
            block = MultiResBlock(path_width + width, width, config.alpha)
            return _PathStep(up, block, ResPath(skip, path_width, next(lengths)))

        super().__init__(step, config.widths, channels, reductions)
