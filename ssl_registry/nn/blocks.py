"""Convolution blocks and resizing that networks of the U-Net family share."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

Upsampling = Literal["transposed", "nearest"]


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


def doubling(inputs: int, outputs: int, upsampling: Upsampling) -> nn.Module:
    """Learnt doubling of the size, `[N, inputs, h, w]` to `[N, outputs, 2h, 2w]`.

    Args:
        inputs: Channels of the map it takes.
        outputs: Channels of the map it gives.
        upsampling: `transposed`: 2x2 transposed convolution; `nearest`: nearest neighbour, then
            3x3 convolution, norm and ReLU.
    """
    if upsampling == "transposed":
        return nn.ConvTranspose2d(inputs, outputs, kernel_size=2, stride=2)
    return nn.Sequential(nn.Upsample(scale_factor=2), *conv_norm_relu(inputs, outputs))


def resize_to(
    x: Tensor,
    size: tuple[int, int],
    mode: Literal["nearest", "bilinear"] = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """The map `x [N, C, h, w]` at `size`; `x` itself if it has that size.

    Pooling rounds sizes down and strides round them up, so a map may be larger or smaller than
    the one it is joined with.

    Args:
        x: The map.
        size: Height and width to bring it to.
        mode: Nearest neighbour has an exact gradient on every device; bilinear sums atomically.
        align_corners: For bilinear: whether the corner pixels' centres stay where they are.
    """
    if size == (x.shape[-2], x.shape[-1]):
        return x
    return F.interpolate(x, size=size, mode=mode, align_corners=align_corners)
