"""Random crop, antialiased resize and flip of a whole batch, as two sparse matrices per image."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ssl_registry.augment.operation import Draws, chosen
from ssl_registry.augment.rows import mix_both, resize_taps
from ssl_registry.nn.transfer import sent

_ATTEMPTS = 10


class MatrixCrop(nn.Module):
    r"""A random crop of each image, resized with antialiasing, and perhaps flipped left to right.

    Resizing is linear in the pixels and separable: view = :math:`A_y X A_x^T`. The rows of the
    matrices are the weights of torchvision's antialiased bilinear resize, placed at the crop; a
    flip reverses the rows of :math:`A_x`. Few weights of a row are not 0, and only they are kept.
    Boxes are drawn as torchvision draws them: area and log aspect are uniform, sides are rounded
    to whole pixels, a box that does not fit is drawn again, and after 10 attempts the largest
    central box of an allowed aspect is taken.

    Args:
        size: Side of the views, px.
        scale: Smallest and largest area of a crop, as a share of the image.
        ratio: Smallest and largest width / height of a crop.
        flip: Probability of a left-right flip.
    """

    def __init__(
        self, size: int, scale: tuple[float, float], ratio: tuple[float, float], flip: float
    ) -> None:
        super().__init__()
        self.size, self.scale, self.ratio, self.flip = size, scale, ratio, flip

    def extra_repr(self) -> str:
        """The settings, as they were given."""
        return f"size={self.size}, scale={self.scale}, ratio={self.ratio}, flip={self.flip}"

    def draw(self, number: int, height: int, width: int) -> Tensor:
        """Top, left, height and width of boxes, px, and whether to flip: `[number, 5]`."""
        boxes = draw_boxes(number, height, width, self.scale, self.ratio)
        return torch.cat([boxes, chosen(number, self.flip)], dim=1)

    def cut(self, images: Tensor, draws: Draws, which: Tensor | None = None) -> Tensor:
        """The views `[N, C, size, size]` of images `[M, C, H, W]`.

        Args:
            images: The images.
            draws: Of N views.
            which: int32 `[N]`, the image that each view is of; default: all in order.
        """
        top, left, tall, wide, flip = draws.here.unbind(1)
        # Both sides of the boxes at once: what is done to so few numbers costs the call of it.
        taps = resize_taps(
            torch.cat([top, left]),
            torch.cat([tall, wide]),
            max(images.shape[2:]),
            self.size,
            torch.cat([torch.zeros_like(flip), flip]),
        )
        number = len(draws.here)
        down, across = taps.of(slice(number)), taps.of(slice(number, None))
        return mix_both(images.contiguous(), down, across, which)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Views `[N, C, size, size]` of images `[N, C, H, W]`."""
        number, _, height, width = images.shape
        host = self.draw(number, height, width)
        return self.cut(images, Draws(host, sent(host, images.device).to(images.dtype)))


def draw_boxes(
    number: int, height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float]
) -> Tensor:
    """Boxes of random crops as torchvision's `RandomResizedCrop` draws them.

    Gives:
        Float32 `[number, 4]` on the CPU: top, left, height and width, whole pixels.
    """
    areas, aspects = torch.rand(2, number, _ATTEMPTS)
    area = height * width * (scale[0] + (scale[1] - scale[0]) * areas)
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = torch.exp(low + (high - low) * aspects)
    wide, tall = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (wide > 0) & (wide <= width) & (tall > 0) & (tall <= height)
    first = fits.int().argmax(dim=1, keepdim=True)
    found = fits.any(dim=1)
    most = _largest_box(height, width, ratio)
    wide = torch.where(found, wide.gather(1, first)[:, 0], most[1])
    tall = torch.where(found, tall.gather(1, first)[:, 0], most[0])
    rows, columns = torch.rand(2, number)
    top = torch.where(found, (rows * (height - tall + 1)).floor(), (height - most[0]) // 2)
    left = torch.where(found, (columns * (width - wide + 1)).floor(), (width - most[1]) // 2)
    return torch.stack([top, left, tall, wide], dim=1)


def _largest_box(height: int, width: int, ratio: tuple[float, float]) -> tuple[int, int]:
    """Height and width of the largest box whose aspect is allowed."""
    if width / height < ratio[0]:
        return round(width / ratio[0]), width
    if width / height > ratio[1]:
        return height, round(height * ratio[1])
    return height, width
