"""Convolutions of small maps, by matrix products."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_registry.nn.columns import Movement, ProductGradient, columns, rows_of
from ssl_registry.nn.kernel_windows import Place, windows

_FEW_IMAGES = 16
"""Fewer are not worth a matrix that is larger than the kernel."""
_FEW_PIXELS = 16
"""Where more come out, torch's own kernels of one pixel and gradients of weights are as fast."""
_VERY_FEW_PIXELS = 4
"""Where more come out, torch's own larger kernels are as fast."""
_LITTLE_WORK = 2_000_000
"""Products of two numbers that take no longer than the calls around them."""
_LITTLE_WORK_OF_GRADIENTS = 50_000_000
"""The same, where only the gradient of the weights is done otherwise."""
_PRODUCT_DTYPE = torch.bfloat16
_TILES = bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())
"""Whether the processor multiplies matrices by AMX tiles. With them torch's gradients of weights in
bf16 are slower than products."""


class SmallMapConv2d(nn.Conv2d):
    """A convolution that is one matrix product where each output pixel sees the whole map.

    A kernel of 3 by 3 that is moved over a map of 1 by 1 or 2 by 2 pixels, padded by zeros, has
    each pixel of the map under it wherever it stands. Then the convolution is a linear layer from
    all values of the map to all values of the output, whose weights are parts of the kernel; what
    lies over the padding is left out. So are the last blocks of a ResNet for images of 32 and 64
    px. A kernel of one pixel is a linear layer of each pixel, and is done as one where these are
    few. Matrix products are far quicker there than the general kernels of a CPU
    (docs/benchmarks.md). The sums are the same but for their order.

    Where at most four pixels come out of a larger map, as after the last stride of such a ResNet,
    it is the product of `columns`, and in bf16 on processors with AMX the weights' gradient is one
    up to 16 pixels.

    Other maps are convolved as ever. Parameters and their names are those of `nn.Conv2d`.
    """

    def forward(self, input: Tensor) -> Tensor:
        """The convolution of `[N, C, H, W]`, or of `[C, H, W]`."""
        if self._is_plain(input):
            pixels = self._output_pixels(input)
            one_pixel = self.kernel_size == (1, 1) and self.padding == (0, 0)
            pixelwise = one_pixel and pixels <= _FEW_PIXELS
            if pixelwise and self.stride == (1, 1):
                return self._each_pixel(input)
            places = self._places(input)
            if places is not None:
                return self._whole_map(input, *places)
            if pixels <= _FEW_PIXELS:
                work = input.shape[0] * pixels * self.weight.numel()
                if (pixelwise or pixels <= _VERY_FEW_PIXELS) and work >= _LITTLE_WORK:
                    return self._few_outputs(input)
                by_tiles = _TILES and _dtype(input) == _PRODUCT_DTYPE
                if by_tiles and work >= _LITTLE_WORK_OF_GRADIENTS:
                    return self._gradient_by_product(input)
        return super().forward(input)

    def _each_pixel(self, images: Tensor) -> Tensor:
        """The linear layer of each pixel."""
        pixels = images.permute(0, 2, 3, 1)
        product = F.linear(pixels.flatten(0, 2), rows_of(self.weight), self.bias)
        return product.view(*pixels.shape[:3], self.out_channels).permute(0, 3, 1, 2)

    def _whole_map(self, images: Tensor, down: Sequence[int], across: Sequence[int]) -> Tensor:
        """The linear layer from maps to whole outputs; see `_places` for the others."""
        number, channels, height, width = images.shape
        corners = list(itertools.product(down, across))
        dtype = _dtype(images)
        matrix = windows(self.weight, corners, (height, width), dtype)
        bias = None if self.bias is None else self.bias.to(dtype).repeat(len(corners))
        # Of maps whose channels are last, this is how they lie in memory.
        flat = images.permute(0, 2, 3, 1).reshape(number, height * width * channels).to(dtype)
        shape = number, len(down), len(across), self.out_channels
        return F.linear(flat, matrix, bias).view(shape).permute(0, 3, 1, 2)

    def _few_outputs(self, images: Tensor) -> Tensor:
        """The linear layer from what the kernel sees to each output."""
        movement, dtype = self._movement(), _dtype(images)
        seen, rows = columns(images.to(dtype), movement), rows_of(self.weight.to(dtype))
        bias = None if self.bias is None else self.bias.to(dtype)
        shape = images.shape[0], *movement.outputs(_size(images)), self.out_channels
        return F.linear(seen, rows, bias).view(shape).permute(0, 3, 1, 2)

    def _gradient_by_product(self, images: Tensor) -> Tensor:
        """As ever, but for the gradient of the weights."""
        dtype = _dtype(images)
        bias = None if self.bias is None else self.bias.to(dtype)
        given = images.to(dtype), self.weight.to(dtype), bias, self._movement()
        return cast("Tensor", ProductGradient.apply(*given))

    def _movement(self) -> Movement:
        down, across = (int(pad) for pad in self.padding)
        return Movement(cast("Place", self.kernel_size), cast("Place", self.stride), (down, across))

    def _output_pixels(self, images: Tensor) -> float:
        """How many pixels come out; infinite for kernels with holes, and for what torch refuses."""
        outputs = self._movement().outputs(_size(images))
        plain = self.dilation == (1, 1) or self.kernel_size == (1, 1)
        return math.prod(outputs) if plain and min(outputs) > 0 else math.inf

    def _is_plain(self, images: Tensor) -> bool:
        """Whether it is a batch on a CPU and nothing but zeros is padded, by numbers."""
        simple = self.groups == 1 and self.padding_mode == "zeros"
        batch = images.ndim == 4 and images.device.type == "cpu"
        alike = _dtype(images) == _dtype(self.weight)  # others torch refuses
        return simple and batch and alike and not isinstance(self.padding, str)

    def _places(self, images: Tensor) -> tuple[list[int], list[int]] | None:
        """Where in the kernel the map begins for each output row, and for each column.

        Returns:
            None if there is an output pixel that does not see all, or too little is gained.
        """
        found, movement = [], self._movement()
        for axis, outputs in enumerate(movement.outputs(_size(images))):
            size, kernel = images.shape[2 + axis], movement.kernel[axis]
            if size > kernel or (self.dilation[axis] > 1 and kernel > 1):
                return None
            padding, stride = movement.padding[axis], movement.stride[axis]
            starts = [padding - stride * output for output in range(outputs)]
            if not starts or min(starts) < 0 or max(starts) + size > kernel:
                return None
            found.append(starts)
        down, across = found
        # The matrix has the kernel's values up to once for each output pixel.
        several = len(down) * len(across) > 1
        return None if several and images.shape[0] < _FEW_IMAGES else (down, across)


def use_small_maps(module: nn.Module) -> None:
    """Let all convolutions inside `module` do small maps by matrix products; see `SmallMapConv2d`.

    Those of a class of their own stay.
    """
    for part in module.modules():
        if type(part) is nn.Conv2d:
            part.__class__ = SmallMapConv2d


def _size(images: Tensor) -> Place:
    height, width = images.shape[2:]
    return height, width


def _dtype(values: Tensor) -> torch.dtype:
    """What a convolution computes in: that of autocast, if there is one, which leaves float64."""
    kind, own = values.device.type, values.dtype
    cast_to = torch.is_autocast_enabled(kind) and own.is_floating_point and own != torch.float64
    return torch.get_autocast_dtype(kind) if cast_to else own
