"""Linear combinations of the rows of images: what a separable resize or blur is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_registry.augment.blocks import blocks


@dataclass(frozen=True)
class Taps:
    """A sparse matrix per image: which pixels of a line make a pixel of the result, and how much.

    Attributes:
        pixels: int32 `[N, S, K]`, places in the source line.
        weights: `[N, S, K]`; the sum over K is 1.
    """

    pixels: Tensor
    weights: Tensor

    def of(self, images: slice) -> Taps:
        """The matrices of some images."""
        return Taps(self.pixels[images], self.weights[images])


def mix_rows(images: Tensor, taps: Taps, which: Tensor | None = None) -> Tensor:
    """Each row of the result is a weighted sum of K rows of its image.

    A bag of an embedding is just that: rows of a table, gathered and summed with weights.

    Args:
        images: Contiguous `[M, C, H, W]`.
        taps: For N images.
        which: int32 `[N]`, the image that each of `taps` is for; default: all in order.

    Returns:
        `[N, C, S, W]`.
    """
    _, channels, height, width = images.shape
    number, size, count = taps.pixels.shape
    if which is None:
        which = torch.arange(number, dtype=torch.int32, device=images.device)
    channel = torch.arange(channels, dtype=torch.int32, device=images.device)
    plane = which[:, None] * channels + channel
    index = (plane * height)[..., None, None] + taps.pixels[:, None]
    weights = taps.weights[:, None].expand(-1, channels, -1, -1)
    mixed = F.embedding_bag(
        index.view(-1, count),
        images.view(-1, width),
        per_sample_weights=weights.reshape(-1, count),
        mode="sum",
    )
    return mixed.view(number, channels, size, width)


def mix_both(images: Tensor, down: Taps, across: Taps, which: Tensor | None = None) -> Tensor:
    """Mix rows with `down` and columns with `across`: contiguous `[N, C, S, S']`."""
    number, size = down.pixels.shape[:2]
    _, channels, _, width = images.shape
    if which is None:
        which = torch.arange(number, dtype=torch.int32, device=images.device)
    row_bytes = channels * size * width * images.element_size()
    mixed = []
    for block in blocks(number, row_bytes, images.device):
        rows = mix_rows(images, down.of(block), which[block])
        # All channels of an image have the same weights: below one another they are one tall image.
        tall = rows.view(len(rows), 1, channels * size, width)
        columns = mix_rows(transposed(tall), across.of(block))
        mixed.append(transposed(columns).view(len(rows), channels, size, -1))
    return mixed[0] if len(mixed) == 1 else torch.cat(mixed)


def transposed(images: Tensor) -> Tensor:
    """Contiguous `[N, C, W, H]` of contiguous images `[N, C, H, W]`.

    A shuffle of H groups of W channels is the same permutation. On the CPU torch does that one in
    blocks of registers, but copies a transposed batch element by element.
    """
    number, channels, height, width = images.shape
    plane = height * width
    pixels = images.as_strided((number * channels, plane, 1, 1), (plane, 1, plane, plane))
    return F.channel_shuffle(pixels, height).view(number, channels, width, height)


def resize_taps(start: Tensor, length: Tensor, extent: int, size: int, flip: Tensor) -> Taps:
    """What cuts out a piece of a line and resizes it, with antialiasing.

    The weights of a pixel are a triangle around its place in the source, as wide as two of the
    larger of the two pixel sides, which is what torchvision's bilinear resize with
    `antialias=True` takes. Pixels outside the piece have no weight.

    Args:
        start: `[N]`, first pixel of each piece.
        length: `[N]`, pixels of each piece.
        extent: Pixels of a line of the source.
        size: Pixels of a line of the result.
        flip: `[N]`, 1 where the result is reversed, else 0.
    """
    place = torch.arange(size, dtype=start.dtype, device=start.device) + 0.5
    start, length = start[:, None], length[:, None]
    scale = length / size
    reach = scale.clamp(min=1)
    centre = scale * torch.where(flip[:, None] > 0, size - place, place)  # [N, size]
    first = (centre - reach + 0.5).floor_().clamp_(min=0)
    count = math.ceil(2 * max(1.0, extent / size))
    taps = torch.arange(count, dtype=start.dtype, device=start.device)
    # [K, N, size], counted from the start of the piece: K is too short to loop over last.
    pixel = first + taps[:, None, None]
    distance = (pixel + (0.5 - centre)).abs_().div_(reach)
    weights = distance.neg_().add_(1).clamp_(min=0).mul_(pixel < length)
    weights.div_(weights.sum(dim=0))
    pixels = torch.minimum(pixel, length - 1).add_(start)
    return Taps(pixels.int().movedim(0, -1).contiguous(), weights.movedim(0, -1).contiguous())


def reflected_pixels(size: int, kernel: int) -> Tensor:
    """The pixels under a centred kernel `[size, kernel]`; beyond a border, those inside it."""
    offsets = torch.arange(kernel, dtype=torch.int32) - kernel // 2
    pixels = (torch.arange(size, dtype=torch.int32)[:, None] + offsets).abs()
    return size - 1 - (size - 1 - pixels).abs()
