"""Windows of a kernel, of which a convolution of a small map is one matrix product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

Context = torch.autograd.function.FunctionCtx
Place = tuple[int, int]


def windows(kernel: Tensor, corners: Sequence[Place], size: Place, dtype: torch.dtype) -> Tensor:
    """What of a kernel lies over a map, for each of its places.

    Args:
        kernel: `[O, C, h, w]`.
        corners: Row and column of the kernel at which the map begins, for each output pixel.
        size: Height and width of the map.
        dtype: Of what is given.

    Returns:
        The weights of a linear layer, `[corners * O, H * W * C]`; they can be derived.
    """
    return cast("Tensor", _Windows.apply(kernel, corners, size, dtype))


class _Windows(torch.autograd.Function):
    """Windows of a kernel `[O, C, k, k]`, below one another."""

    @staticmethod
    def forward(
        ctx: Context,
        kernel: Tensor,
        corners: Sequence[Place],
        size: Place,
        dtype: torch.dtype,
    ) -> Tensor:
        """Copy the windows of `size` at all corners: `[corners * O, H * W * C]`."""
        ctx.given = corners, size, kernel.shape, kernel.dtype  # type: ignore[attr-defined]
        (height, width), (outputs, channels, _, _) = size, kernel.shape
        found = kernel.new_empty(len(corners), outputs, height, width, channels, dtype=dtype)
        last = kernel.permute(0, 2, 3, 1)
        for window, (row, column) in zip(found, corners, strict=True):
            window.copy_(last[:, row : row + height, column : column + width])
        return found.view(len(corners) * outputs, -1)

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """The gradient of the kernel."""
        given = ctx.given  # type: ignore[attr-defined]
        kernel: Tensor = _Overlap.apply(gradients[0], *given)
        return kernel, None, None, None


class _Overlap(torch.autograd.Function):
    """The sum of windows, each at its place in a kernel: the transpose of `_Windows`."""

    @staticmethod
    def forward(
        ctx: Context,
        seen: Tensor,
        corners: Sequence[Place],
        size: Place,
        shape: torch.Size,
        dtype: torch.dtype,
    ) -> Tensor:
        """Add up `[corners * O, H * W * C]` in a kernel `[O, C, k, k]` whose channels are last."""
        ctx.given = corners, size, seen.dtype  # type: ignore[attr-defined]
        (height, width), (outputs, channels, tall, wide) = size, shape
        kernel = seen.new_zeros(outputs, tall, wide, channels, dtype=dtype)
        parts = seen.view(len(corners), outputs, height, width, channels)
        for part, (row, column) in zip(parts, corners, strict=True):
            kernel[:, row : row + height, column : column + width] += part
        return kernel.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        """The gradient of the windows."""
        seen = windows(gradients[0], *ctx.given)  # type: ignore[attr-defined]
        return seen, None, None, None, None
