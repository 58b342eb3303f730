"""Two random views of each image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from ssl_registry.augment.fast import FastChain
from ssl_registry.interfaces.augmentation import Augmentation, Views


class TwoViews(Augmentation):
    """Applies a chain of operations twice to each image, in one call.

    Every draw comes from torch's global CPU generator, whatever the device and precision: the
    same seed gives the same views on a CPU and a GPU, and no draw makes a GPU wait. The views
    depend on the batch's size as well, because all images are drawn together.

    As with kornia's operations, images are augmented in `eval()` mode too.

    Args:
        chain: Maps float images `[N, C, H, W]` in [0, 1] to views, with draws per image: a
            `FastChain`, or any module, such as a sequence of kornia's.
    """

    def __init__(self, chain: nn.Module) -> None:
        super().__init__()
        self.chain = chain

    @torch.no_grad()
    def forward(self, images: Tensor) -> Views:
        """Two views, each `[N, C, H', W']` in [0, 1], of float images `[N, C, H, W]`.

        Of images in half precision they are made in fp32, in which places are exact.

        Raises:
            TypeError: The images are not float.
        """
        if not images.is_floating_point():
            raise TypeError(f"views are made from float images in [0, 1], not {images.dtype}")
        given = images.dtype
        if given.itemsize < torch.float32.itemsize:
            images = images.float()
        if isinstance(self.chain, FastChain):
            views = self.chain(images, copies=2)
        else:
            # Interpolation and blur overshoot by a rounding error.
            views = self.chain(torch.cat([images, images])).clamp_(0, 1)
        first, second = views.to(given).chunk(2)
        return Views(images=(first, second))

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        draw_on_cpu(self)
        return self


def draw_on_cpu(module: nn.Module) -> None:
    """Make all kornia operations inside `module` draw from the CPU generator in fp32.

    kornia's own `to` moves the draws to the device and precision as well.
    """
    for part in module.modules():
        set_generator = getattr(part, "set_rng_device_and_dtype", None)
        if set_generator is not None:
            set_generator(torch.device("cpu"), torch.float32)
