"""Convolutions written as matrix products: what a kernel sees, side by side in a row."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

Context = torch.autograd.function.FunctionCtx


@dataclass(frozen=True)
class Movement:
    """How a kernel moves over maps; the pairs are of rows and of columns of pixels.

    Attributes:
        kernel: Its size.
        stride: Steps between outputs.
        padding: Zeros on either side.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]

    def outputs(self, size: tuple[int, int]) -> tuple[int, int]:
        """How many outputs maps of `size` give."""
        both = zip(size, self.kernel, self.stride, self.padding, strict=True)
        down, across = ((n + 2 * pad - kernel) // stride + 1 for n, kernel, stride, pad in both)
        return down, across

    def padded(self, size: tuple[int, int]) -> tuple[int, int]:
        """The size of maps with their zeros."""
        height, width = (n + 2 * pad for n, pad in zip(size, self.padding, strict=True))
        return height, width


def columns(images: Tensor, movement: Movement) -> Tensor:
    """What the kernel sees, a row for each output of each image.

    The convolution is then a matrix product, and the weights' gradient another:
    `columns(images) @ rows_of(weight).T` and `gradient.T @ columns(images)`.

    Args:
        images: `[N, C, H, W]`.
        movement: How the kernel moves.

    Returns:
        `[N * outputs, kernel height * kernel width * C]`, of the images' type; they can be derived.
        They are not to be written to: where they lie in the images' memory as they are, they are
        a view of it.
    """
    return cast("Tensor", _Columns.apply(images, movement))


def rows_of(weight: Tensor) -> Tensor:
    """The weights `[O, C, h, w]` in the order of `columns`: `[O, h * w * C]`."""
    return weight.permute(0, 2, 3, 1).flatten(1)


class _Columns(torch.autograd.Function):
    """The columns of maps `[N, C, H, W]`."""

    @staticmethod
    def forward(ctx: Context, images: Tensor, movement: Movement) -> Tensor:
        """Put side by side what the kernel sees: `[N * outputs, h * w * C]`."""
        number, channels, height, width = images.shape
        ctx.given = images.shape, movement  # type: ignore[attr-defined]
        (tall, wide), (top, left) = movement.padded((height, width)), movement.padding
        padded = images.permute(0, 2, 3, 1).contiguous()
        if movement.padding != (0, 0):
            inner, padded = padded, images.new_zeros(number, tall, wide, channels)
            padded[:, top : top + height, left : left + width] = inner
        (down, across), (rows, cells) = movement.stride, movement.kernel
        # Pixels of a row lie next to each other, so a row of the kernel is one piece of memory.
        row = wide * channels
        seen = padded.as_strided(
            (number, *movement.outputs((height, width)), rows, cells * channels),
            (tall * row, down * row, across * channels, row, 1),
        )
        return seen.reshape(-1, rows * cells * channels)

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor, None]:
        """The gradient of the images."""
        images: Tensor = _Images.apply(gradients[0], *ctx.given)  # type: ignore[attr-defined]
        return images, None


class _Images(torch.autograd.Function):
    """The sum of all columns, each value at its pixel: the transpose of `_Columns`."""

    @staticmethod
    def forward(ctx: Context, seen: Tensor, shape: torch.Size, movement: Movement) -> Tensor:
        """Add up `[N * outputs, h * w * C]` in maps `[N, C, H, W]` whose channels are last."""
        number, channels, height, width = shape
        ctx.given = movement  # type: ignore[attr-defined]
        outputs = movement.outputs((height, width))
        (tall, wide), (top, left) = movement.padded((height, width)), movement.padding
        dtype = seen.dtype
        if any(
            kernel > step for kernel, step in zip(movement.kernel, movement.stride, strict=True)
        ):
            # Several values are added up in a pixel, more exactly than bf16 could.
            dtype = torch.promote_types(dtype, torch.float32)
        padded = seen.new_zeros(number, tall, wide, channels, dtype=dtype)
        parts = seen.reshape(number, *outputs, *movement.kernel, channels)
        for row, cell in itertools.product(*map(range, movement.kernel)):
            below, beside = (
                slice(start, start + stride * (count - 1) + 1, stride)
                for start, stride, count in zip((row, cell), movement.stride, outputs, strict=True)
            )
            padded[:, below, beside] += parts[:, :, :, row, cell]
        inner = padded[:, top : top + height, left : left + width]
        return inner.to(seen.dtype).contiguous().permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """The gradient of the columns."""
        return columns(gradients[0], ctx.given), None, None  # type: ignore[attr-defined]


class ProductGradient(torch.autograd.Function):
    """A convolution as torch does it, but for the gradient of the weights.

    That is the matrix product `gradient.T @ columns(images)`. The columns are made in the backward
    pass, so nothing more is kept than torch keeps.
    """

    @staticmethod
    def forward(
        ctx: Context, images: Tensor, weight: Tensor, bias: Tensor | None, movement: Movement
    ) -> Tensor:
        """The convolution of `[N, C, H, W]` by `[O, C, h, w]`, all of one type."""
        ctx.save_for_backward(images, weight)
        ctx.given = bias is not None, movement  # type: ignore[attr-defined]
        return F.conv2d(images, weight, bias, movement.stride, movement.padding)

    @staticmethod
    def backward(
        ctx: Context, *gradients: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        """The gradients of images, weights and bias."""
        gradient = gradients[0]
        images, weight = ctx.saved_tensors  # type: ignore[attr-defined]
        biased, movement = ctx.given  # type: ignore[attr-defined]
        to_images, to_weight, to_bias, _ = ctx.needs_input_grad  # type: ignore[attr-defined]
        of_images = of_weight = None
        if to_images:
            # Not `torch.nn.grad.conv2d_input`, which forgets that channels are last.
            of_images = torch.ops.aten.convolution_backward(
                gradient,
                images,
                weight,
                None,
                movement.stride,
                movement.padding,
                dilation=(1, 1),
                transposed=False,
                output_padding=(0, 0),
                groups=1,
                output_mask=(True, False, False),
            )[0]
        rows = gradient.permute(0, 2, 3, 1).flatten(0, 2)
        if to_weight:
            product = rows.t() @ columns(images, movement)
            outputs, channels, height, width = weight.shape
            of_weight = product.view(outputs, height, width, channels).permute(0, 3, 1, 2)
        return of_images, of_weight, rows.sum(0) if biased and to_bias else None, None
