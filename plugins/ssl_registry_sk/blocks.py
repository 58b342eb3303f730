"""The selective-kernel block."""

from __future__ import annotations

from torch import Tensor, nn


class SelectiveKernel(nn.Module):
    """Two 3x3 convolutions, one of them dilated, mixed per channel by attention.

    After Li et al. 2019, in the form of Byra et al. 2020, figure 2::

        u = relu(norm(conv3x3, dilation 2, of x))        v = relu(norm(conv3x3 of x))
        a = sigmoid(W2 relu(norm(W1 mean(u + v))))       [N, outputs]
        y = a * u + (1 - a) * v

    Where there are two branches only, the softmax over branches is this sigmoid. The norm inside
    the attention is over the images of a batch, so training takes at least two.

    Args:
        inputs: Channels it takes.
        outputs: Channels it gives.
        compression: Share of the channels inside the attention.
    """

    def __init__(self, inputs: int, outputs: int, compression: float) -> None:
        super().__init__()
        self.dilated = _branch(inputs, outputs, dilation=2)
        self.plain = _branch(inputs, outputs, dilation=1)
        inner = max(1, int(outputs * compression))
        self.attention = nn.Sequential(
            nn.Linear(outputs, inner),
            nn.BatchNorm1d(inner),
            nn.ReLU(inplace=True),
            nn.Linear(inner, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[N, outputs, H, W]` of `[N, inputs, H, W]`."""
        u: Tensor = self.dilated(x)
        v: Tensor = self.plain(x)
        a = self.attention((u + v).mean(dim=(-2, -1))).sigmoid()[:, :, None, None]
        mixed: Tensor = a * u + (1 - a) * v
        return mixed


def double_selective(inputs: int, outputs: int, compression: float) -> nn.Sequential:
    """Two selective-kernel blocks, which take the place of the U-Net's two convolutions."""
    return nn.Sequential(
        SelectiveKernel(inputs, outputs, compression),
        SelectiveKernel(outputs, outputs, compression),
    )


def _branch(inputs: int, outputs: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, padding=dilation, dilation=dilation),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
