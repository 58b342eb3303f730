"""The recurrent residual block of R2U-Net."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RecurrentConv(nn.Module):
    """A 3x3 convolution that is applied again to its input plus its output.

    With the convolution `W`, batch normalisation and ReLU (Alom et al. 2018, equations 1 and 2)::

        s[0] = relu(norm(W x))        s[k] = relu(norm(W (x + s[k-1])))    k = 1 ... t

    As in the common reference network, one convolution serves the input and the recurrent state.
    All steps share the norm's scale and shift, but each step has statistics of its own: the maps
    of different steps are distributed differently, so running statistics shared by all of them
    would fit none when evaluating.

    Args:
        channels: Channels it takes and gives.
        recurrences: t.
    """

    def __init__(self, channels: int, recurrences: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(channels, affine=False) for _ in range(recurrences + 1)
        )
        # Of one dimension, as in a norm: so they are spared of weight decay like one.
        self.scale = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """The last state, of the shape of `x [N, channels, H, W]`."""
        state: Tensor | None = None
        for norm in self.norms:
            normed = norm(self.conv(x if state is None else x + state))
            # In the type of the map, which under autocast is not that of the parameters.
            scale, shift = (p.to(normed.dtype)[:, None, None] for p in (self.scale, self.shift))
            state = (normed * scale + shift).relu()
        # There is at least one norm.
        return x if state is None else state


class RecurrentResidualBlock(nn.Module):
    """Two recurrent convolutions beside a shortcut (Alom et al. 2018, figure 4d).

    Maps `[N, inputs, H, W]` to `[N, outputs, H, W]`; a 1x1 convolution changes the channels first.
    """

    def __init__(self, inputs: int, outputs: int, recurrences: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(inputs, outputs, kernel_size=1)
        self.recurrent = nn.Sequential(
            RecurrentConv(outputs, recurrences), RecurrentConv(outputs, recurrences)
        )

    def forward(self, x: Tensor) -> Tensor:
        """The sum of the recurrent convolutions and the shortcut."""
        projected: Tensor = self.project(x)
        result: Tensor = projected + self.recurrent(projected)
        return result
