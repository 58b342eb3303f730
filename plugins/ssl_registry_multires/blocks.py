"""The MultiRes block and the residual path of MultiResUNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_SHARES = (0.167, 0.333, 0.5)


def conv_norm(inputs: int, outputs: int, kernel_size: int) -> nn.Sequential:
    """Convolution that keeps the size, and batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=kernel_size, padding=kernel_size // 2),
        nn.BatchNorm2d(outputs),
    )


class MultiResBlock(nn.Module):
    """Three 3x3 convolutions in a row, all of whose maps are kept, beside a 1x1 shortcut.

    With `W = alpha * U`, they have `W / 6`, `W / 3` and `W / 2` channels, rounded down (Ibtehaz
    and Rahman 2020, figure 3c); together they see as much as 3x3, 5x5 and 7x7 ones. With norms
    `n` and ReLU `r`::

        a = r(n(conv(x)))   b = r(n(conv(a)))   c = r(n(conv(b)))
        y = r(n(n(concat(a, b, c)) + n(conv1x1(x))))

    Attributes:
        out_channels: Their sum.

    Args:
        inputs: Channels it takes.
        width: U.
        alpha: See above.
    """

    def __init__(self, inputs: int, width: int, alpha: float) -> None:
        super().__init__()
        parts = [max(1, int(alpha * width * share)) for share in _SHARES]
        self.out_channels = sum(parts)
        self.shortcut = conv_norm(inputs, self.out_channels, 1)
        self.convs = nn.ModuleList(
            conv_norm(a, b, 3) for a, b in zip([inputs, *parts], parts, strict=False)
        )
        self.norm_joined = nn.BatchNorm2d(self.out_channels)
        self.norm_sum = nn.BatchNorm2d(self.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, out_channels, H, W]` of `[N, inputs, H, W]`."""
        maps: list[Tensor] = []
        for conv in self.convs:
            maps.append(conv(maps[-1] if maps else x).relu())
        joined = self.norm_joined(torch.cat(maps, dim=1))
        result: Tensor = self.norm_sum(joined + self.shortcut(x)).relu()
        return result


class ResPath(nn.Module):
    """Residual 3x3 convolutions on a skip (Ibtehaz and Rahman 2020, figure 4).

    A unit is `relu(norm(relu(norm(conv3x3(x))) + norm(conv1x1(x))))`. A norm is used once in it;
    applying the outer one before the sum as well would mix two distributions in its statistics.

    Args:
        inputs: Channels of the skip.
        outputs: Channels it gives.
        length: Number of units.
    """

    def __init__(self, inputs: int, outputs: int, length: int) -> None:
        super().__init__()
        self.units = nn.Sequential(
            *(_ResPathUnit(inputs if index == 0 else outputs, outputs) for index in range(length))
        )

    def forward(self, skip: Tensor) -> Tensor:
        """`[N, outputs, H, W]` of `[N, inputs, H, W]`."""
        result: Tensor = self.units(skip)
        return result


class _ResPathUnit(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.shortcut = conv_norm(inputs, outputs, 1)
        self.conv = conv_norm(inputs, outputs, 3)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.norm(self.conv(x).relu() + self.shortcut(x)).relu()
        return result
