"""The tokenised MLP of UNeXt."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_REACH = 2


def shifted(x: Tensor, dim: int) -> Tensor:
    """Channel groups moved along one axis, `[N, C, H, W]` to the same shape.

    The channels are divided into five groups of equal size, of which the last ones may be smaller
    or empty; they move by -2, -1, 0, 1 and 2 pixels (Valanarasu and Patel 2022, figure 2). What
    leaves the map is lost, and zeros enter.

    Args:
        x: The map.
        dim: -2 to move along the height, -1 along the width.
    """
    length = x.shape[dim]
    padding = (_REACH, _REACH) if dim == -1 else (0, 0, _REACH, _REACH)
    padded = F.pad(x, padding)
    groups = padded.chunk(2 * _REACH + 1, dim=1)
    moved = [
        group.narrow(dim, _REACH - distance, length)
        for distance, group in zip(range(-_REACH, _REACH + 1), groups, strict=False)
    ]
    return torch.cat(moved, dim=1)


class TokenisedMLP(nn.Module):
    """Shifted MLP over the channels of each pixel, as a residual (Valanarasu and Patel 2022).

    With layer normalisation `n` over the channels and a depthwise 3x3 convolution::

        h = gelu(depthwise(W1 shift_height(n(x))))
        y = x + W2 shift_width(h)

    A layer normalisation of `y` ends it. Maps `[N, channels, H, W]` to the same shape.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.first = nn.Linear(channels, channels)
        self.depthwise = nn.Conv2d(channels, channels, kernel_size=3, padding=1, groups=channels)
        self.second = nn.Linear(channels, channels)
        self.norm_end = nn.LayerNorm(channels)
        for linear in (self.first, self.second):
            initialise(linear)
        initialise(self.depthwise)

    def forward(self, x: Tensor) -> Tensor:
        """The normalised sum, `[N, channels, H, W]`."""
        h = on_channels(self.norm, x)
        h = F.gelu(self.depthwise(on_channels(self.first, shifted(h, -2))))
        h = on_channels(self.second, shifted(h, -1))
        return on_channels(self.norm_end, x + h)


def on_channels(layer: nn.Module, x: Tensor) -> Tensor:
    """A layer for the last axis, applied to the channels of `[N, C, H, W]`."""
    result: Tensor = layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return result


def initialise(layer: nn.Linear | nn.Conv2d) -> None:
    """Weights as in the reference: normal, of deviation 0.02 or sqrt(2 / fan out); no bias."""
    if isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, std=0.02)
    else:
        fan_out = layer.out_channels * math.prod(layer.kernel_size) // layer.groups
        nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_out))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
