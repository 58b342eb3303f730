"""Convolutions of maps so small that each output pixel sees all of the map."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_FEW_IMAGES = 16
"""Fewer are not worth a matrix that is larger than the kernel."""
_FEW_PIXELS = 16
"""Where more come out of kernels of one pixel, torch's own are as fast."""

_Place = tuple[int, int]


class SmallMapConv2d(nn.Conv2d):
    """A convolution that is one matrix product where each output pixel sees the whole map.

    A kernel of 3 by 3 that is moved over a map of 1 by 1 or 2 by 2 pixels, padded by zeros, has
    each pixel of the map under it wherever it stands. Then the convolution is a linear layer from
    all values of the map to all values of the output, whose weights are parts of the kernel; what
    lies over the padding is left out. So are the last blocks of a ResNet for images of 32 and 64
    px. A kernel of one pixel is a linear layer of each pixel, and is done as one where these are
    few. Matrix products are far quicker there than the general kernels of a CPU
    (docs/benchmarks.md). The sums are the same but for their order.

    Other maps are convolved as ever. Parameters and their names are those of `nn.Conv2d`.
    """

    def forward(self, input: Tensor) -> Tensor:
        """The convolution of `[N, C, H, W]`, or of `[C, H, W]`."""
        if self._is_plain(input):
            if self._is_pixelwise(input):
                return self._each_pixel(input)
            places = self._places(input)
            if places is not None:
                return self._whole_map(input, *places)
        return super().forward(input)

    def _each_pixel(self, images: Tensor) -> Tensor:
        """The linear layer of each pixel that the stride does not pass over."""
        down, across = self.stride
        seen = images[:, :, ::down, ::across].permute(0, 2, 3, 1)
        product = F.linear(seen.flatten(0, 2), self.weight.flatten(1), self.bias)
        return product.view(*seen.shape[:3], self.out_channels).permute(0, 3, 1, 2)

    def _whole_map(self, images: Tensor, down: Sequence[int], across: Sequence[int]) -> Tensor:
        """The linear layer from maps to whole outputs; see `_places` for the others."""
        number, channels, height, width = images.shape
        corners = list(itertools.product(down, across))
        dtype = _dtype(images)
        matrix = _matrix(self.weight, corners, (height, width), dtype)
        bias = None if self.bias is None else self.bias.to(dtype).repeat(len(corners))
        # Of maps whose channels are last, this is how they lie in memory.
        flat = images.permute(0, 2, 3, 1).reshape(number, height * width * channels).to(dtype)
        shape = number, len(down), len(across), self.out_channels
        return F.linear(flat, matrix, bias).view(shape).permute(0, 3, 1, 2)

    def _is_plain(self, images: Tensor) -> bool:
        """Whether it is a batch on a CPU and nothing but zeros is padded, by numbers."""
        simple = self.groups == 1 and self.padding_mode == "zeros"
        batch = images.ndim == 4 and images.device.type == "cpu"
        return simple and batch and not isinstance(self.padding, str)

    def _is_pixelwise(self, images: Tensor) -> bool:
        """Whether the kernel is one pixel, and few pixels come out."""
        if self.kernel_size != (1, 1) or self.padding != (0, 0):
            return False
        height, width = (
            -(-size // stride) for size, stride in zip(images.shape[2:], self.stride, strict=True)
        )
        return height * width <= _FEW_PIXELS

    def _places(self, images: Tensor) -> tuple[list[int], list[int]] | None:
        """Where in the kernel the map begins for each output row, and for each column.

        Returns:
            None if there is an output pixel that does not see all, or too little is gained.
        """
        found = []
        for axis in (0, 1):
            size, kernel = images.shape[2 + axis], self.kernel_size[axis]
            if size > kernel or (self.dilation[axis] > 1 and kernel > 1):
                return None
            padding, stride = int(self.padding[axis]), self.stride[axis]
            outputs = (size + 2 * padding - kernel) // stride + 1
            starts = [padding - stride * output for output in range(outputs)]
            if not starts or min(starts) < 0 or max(starts) + size > kernel:
                return None
            found.append(starts)
        down, across = found
        # The matrix has the kernel's values up to once for each output pixel.
        several = len(down) * len(across) > 1
        return None if several and len(images) < _FEW_IMAGES else (down, across)


def use_small_maps(module: nn.Module) -> None:
    """Let all convolutions inside `module` do maps that they see as a whole by matrix products.

    Those of a class of their own stay.
    """
    for part in module.modules():
        if type(part) is nn.Conv2d:
            part.__class__ = SmallMapConv2d


def _dtype(values: Tensor) -> torch.dtype:
    """What a convolution computes in: that of autocast, if there is one."""
    kind = values.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else values.dtype


def _matrix(kernel: Tensor, corners: Sequence[_Place], size: _Place, dtype: torch.dtype) -> Tensor:
    """The weights of the linear layer, `[outputs * O, H * W * C]`."""
    matrix: Tensor = _Windows.apply(kernel, corners, size, dtype)
    return matrix


class _Windows(torch.autograd.Function):
    """Windows of a kernel `[O, C, k, k]`, below one another."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        kernel: Tensor,
        corners: Sequence[_Place],
        size: _Place,
        dtype: torch.dtype,
    ) -> Tensor:
        """Copy the windows of `size` at all corners: `[corners * O, H * W * C]`."""
        ctx.given = corners, size, kernel.shape, kernel.dtype  # type: ignore[attr-defined]
        (height, width), (outputs, channels, _, _) = size, kernel.shape
        windows = kernel.new_empty(len(corners), outputs, height, width, channels, dtype=dtype)
        last = kernel.permute(0, 2, 3, 1)
        for window, (row, column) in zip(windows, corners, strict=True):
            window.copy_(last[:, row : row + height, column : column + width])
        return windows.view(len(corners) * outputs, -1)

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor
    ) -> tuple[Tensor, None, None, None]:
        """The gradient of the kernel."""
        given = ctx.given  # type: ignore[attr-defined]
        kernel: Tensor = _Overlap.apply(gradients[0], *given)
        return kernel, None, None, None


class _Overlap(torch.autograd.Function):
    """The sum of windows, each at its place in a kernel: the transpose of `_Windows`."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        windows: Tensor,
        corners: Sequence[_Place],
        size: _Place,
        shape: torch.Size,
        dtype: torch.dtype,
    ) -> Tensor:
        """Add up `[corners * O, H * W * C]` in a kernel `[O, C, k, k]` whose channels are last."""
        ctx.given = corners, size, windows.dtype  # type: ignore[attr-defined]
        (height, width), (outputs, channels, tall, wide) = size, shape
        kernel = windows.new_zeros(outputs, tall, wide, channels, dtype=dtype)
        parts = windows.view(len(corners), outputs, height, width, channels)
        for part, (row, column) in zip(parts, corners, strict=True):
            kernel[:, row : row + height, column : column + width] += part
        return kernel.permute(0, 3, 1, 2)

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor
    ) -> tuple[Tensor, None, None, None, None]:
        """The gradient of the windows."""
        windows = _matrix(gradients[0], *ctx.given)  # type: ignore[attr-defined]
        return windows, None, None, None, None
