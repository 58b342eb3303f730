"""The residual U-Net's building blocks."""

from __future__ import annotations

from torch import Tensor, nn


def norm_act(channels: int) -> list[nn.Module]:
    """Instance normalisation without scale and shift, and PReLU with one slope."""
    return [nn.InstanceNorm2d(channels), nn.PReLU()]


class ResidualUnit(nn.Module):
    """3x3 convolutions with norm and PReLU beside a shortcut (He et al. 2016).

    The shortcut is a 3x3 convolution where the unit halves the size, a 1x1 convolution where only
    the channels differ, and the identity otherwise. Maps `[N, inputs, H, W]` to
    `[N, outputs, ceil(H / stride), ceil(W / stride)]`.

    Args:
        inputs: Channels it takes.
        outputs: Channels it gives.
        stride: Of the first convolution.
        convolutions: How many there are.
        plain_end: Leave out the norm and PReLU after the last convolution.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        stride: int = 1,
        convolutions: int = 2,
        plain_end: bool = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(convolutions):
            a, s = (inputs, stride) if index == 0 else (outputs, 1)
            layers += [nn.Conv2d(a, outputs, kernel_size=3, stride=s, padding=1)]
            if not (plain_end and index == convolutions - 1):
                layers += norm_act(outputs)
        self.conv = nn.Sequential(*layers)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1:
            self.shortcut = nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1)
        elif inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """The sum of convolutions and shortcut."""
        result: Tensor = self.conv(x) + self.shortcut(x)
        return result
