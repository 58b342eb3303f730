"""A crop and what follows it, for a whole batch, without kornia."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssl_registry.augment.blocks import blocks
from ssl_registry.augment.blur import MatrixBlur
from ssl_registry.augment.colour import BatchGrayscale, BatchJitter
from ssl_registry.augment.crop import MatrixCrop
from ssl_registry.augment.operation import BatchOperation, Draws
from ssl_registry.augment.settings import ChainSettings, Operation, blur_kernel
from ssl_registry.nn.transfer import sent


class FastChain(nn.Module):
    """A crop with flip, and then operations in place, on float images `[N, C, H, W]` in [0, 1].

    All draws are made first, on the CPU and in float32, and go to the device together, so that
    they are a function of the seed, of N and of the image's size alone, and no GPU is waited for.
    Views are made in the order that costs least (`BatchOperation.rank`) and given in that of the
    images. On the CPU the work is done in blocks of some megabytes, on a GPU in one block.

    Args:
        crop: Crop, resize and flip.
        operations: What follows, first to last.
    """

    def __init__(self, crop: MatrixCrop, operations: Sequence[BatchOperation]) -> None:
        super().__init__()
        self.crop = crop
        self.operations = tuple(operations)
        self._registered = nn.ModuleList(operations)

    @torch.no_grad()
    def forward(self, images: Tensor, copies: int = 1) -> Tensor:
        """Views `[copies * N, C, size, size]` in [0, 1]: all images, then all again, and so on."""
        number, channels, height, width = images.shape
        size = self.crop.size
        out = images.new_empty(copies * number, channels, size, size)
        with torch.autocast(images.device.type, enabled=False):
            drawn, widths = self._draw(len(out), height, width)
            order = self._order(drawn, widths)
            drawn = drawn[order]
            draws = Draws(drawn, sent(drawn, images.device).to(images.dtype))
            images, places = images.contiguous(), sent(order, images.device)
            which = (places % number).int()
            for block in blocks(len(out), out[0].nbytes, out.device):
                views = self._views(
                    images, which[block], draws.rows(block.start, block.stop), widths
                )
                # Sums of weights overshoot by a rounding error.
                out.index_copy_(0, places[block], views.clamp_(0, 1))
        return out

    def _draw(self, number: int, height: int, width: int) -> tuple[Tensor, list[int]]:
        """The draws of all parts side by side, and how many numbers each part has."""
        parts = [self.crop.draw(number, height, width)]
        parts += [operation.draw(number) for operation in self.operations]
        return torch.cat(parts, dim=1), [part.shape[1] for part in parts]

    def _order(self, drawn: Tensor, widths: Sequence[int]) -> Tensor:
        """The order in which views are made, int64 on the CPU: that of the first rank."""
        place = widths[0]
        for operation, width in zip(self.operations, widths[1:], strict=True):
            rank = operation.rank(drawn[:, place : place + width])
            if rank is not None:
                return rank.argsort(stable=True)
            place += width
        return torch.arange(len(drawn))

    def _views(self, images: Tensor, which: Tensor, draws: Draws, widths: Sequence[int]) -> Tensor:
        """The views of a block, of the images `which`."""
        views = self.crop.cut(images, draws.columns(0, widths[0]), which)
        place = widths[0]
        for operation, width in zip(self.operations, widths[1:], strict=True):
            views = operation.change(views, draws.columns(place, place + width))
            place += width
        return views


def fast_chain(settings: ChainSettings) -> FastChain:
    """The chain of `settings`. A flip is done by the crop: wherever it comes, it gives the same."""
    size, names = settings.image_size, settings.operations
    flip = settings.flip if "flip" in names else 0.0
    operations: dict[Operation, BatchOperation] = {
        "jitter": BatchJitter(settings.jitter, settings.channels),
        "grayscale": BatchGrayscale(settings.grayscale),
        "blur": MatrixBlur(size, blur_kernel(size), settings.blur_sigma, settings.blur),
    }
    return FastChain(
        MatrixCrop(size, settings.crop_scale, settings.crop_ratio, flip),
        [operations[name] for name in names if name != "flip"],
    )
