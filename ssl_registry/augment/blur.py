"""Gaussian blur of a whole batch, for the images that are chosen."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_registry.augment.operation import BatchOperation, Draws, chosen, uniform
from ssl_registry.augment.rows import Taps, mix_both, reflected_pixels


class MatrixBlur(BatchOperation):
    r"""Blurs images, with probability `share` and a sigma of its own each, reflecting at borders.

    A separable blur is :math:`B X B^T`, where a row of the banded matrix B holds the weights of
    one pixel, of which only those in the band are kept; a pixel beyond the border is the one
    inside as far from it. The result is that of
    torchvision's `gaussian_blur` and of kornia's `RandomGaussianBlur`. Images that are not blurred
    cost nothing.

    Args:
        size: Side of the images, px.
        kernel: Side of the kernel, px, odd and below 2 size.
        sigma: Smallest and largest sigma, px; uniform.
        share: Probability that an image is blurred.
    """

    _pixels: Tensor

    def __init__(self, size: int, kernel: int, sigma: tuple[float, float], share: float) -> None:
        super().__init__()
        self.size, self.kernel, self.sigma, self.share = size, kernel, sigma, share
        self.register_buffer("_pixels", reflected_pixels(size, kernel), persistent=False)

    def extra_repr(self) -> str:
        """The settings, as they were given."""
        return f"size={self.size}, kernel={self.kernel}, sigma={self.sigma}, p={self.share}"

    def draw(self, number: int) -> Tensor:
        """Whether to blur, and sigma in px: `[number, 2]`."""
        return torch.cat([chosen(number, self.share), uniform(number, *self.sigma)], dim=1)

    def change(self, images: Tensor, draws: Draws) -> Tensor:
        """Blur the images that were chosen."""
        places = draws.host[:, 0].nonzero()[:, 0]
        if len(places):
            where = draws.at(places)
            taps = self._taps(draws.here[:, 1].index_select(0, where))
            images.index_copy_(0, where, mix_both(images, taps, taps, where.int()))
        return images

    def _taps(self, sigma: Tensor) -> Taps:
        """The blur of images with sigmas `[N]`."""
        radius = self.kernel // 2
        offsets = torch.arange(-radius, radius + 1, dtype=sigma.dtype, device=sigma.device)
        weights = torch.exp(-0.5 * (offsets / sigma[:, None]).square())
        weights = weights / weights.sum(dim=1, keepdim=True)
        return Taps(
            self._pixels.expand(len(sigma), -1, -1),
            weights[:, None].expand(-1, self.size, -1),
        )
