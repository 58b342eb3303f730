"""The U-Net's building block."""

from __future__ import annotations

from torch import nn


def conv_norm_relu(inputs: int, outputs: int) -> list[nn.Module]:
    """3x3 convolution that keeps the size, batch normalisation and ReLU.

    The convolution has a bias although the norm makes it idle: the common reference networks
    have it, and parameter counts and weights are to compare with theirs.
    """
    return [
        nn.Conv2d(inputs, outputs, kernel_size=3, padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


def double_conv(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3x3 convolutions with norm and ReLU, `[N, inputs, H, W]` to `[N, outputs, H, W]`."""
    return nn.Sequential(*conv_norm_relu(inputs, outputs), *conv_norm_relu(outputs, outputs))
