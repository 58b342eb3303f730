"""What the fast operations have in common: draws on the CPU, and work on a whole batch in place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ssl_registry.nn.transfer import sent

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in gray (ITU-R BT.601). They sum to 1, so that gray stays gray."""


@dataclass(frozen=True)
class Draws:
    """What was drawn for a batch of N images, a row for each.

    Attributes:
        host: float32 `[N, K]` on the CPU: there it is known, without waiting for a device, which
            images an operation is for.
        here: The same numbers in the device and precision of the images.
    """

    host: Tensor
    here: Tensor

    def rows(self, start: int, stop: int) -> Draws:
        """The draws of some images."""
        return Draws(self.host[start:stop], self.here[start:stop])

    def columns(self, start: int, stop: int) -> Draws:
        """Some of the numbers of each image."""
        return Draws(self.host[:, start:stop], self.here[:, start:stop])

    def at(self, places: Tensor) -> Tensor:
        """`places`, numbers of images on the CPU, on the device."""
        return sent(places, self.here.device)


class BatchOperation(nn.Module, ABC):
    """An operation on square images of which each has its own draws, as with kornia's modules.

    It maps `[N, C, S, S]` in [0, 1] to the same shape and draws from torch's global CPU generator
    in float32, so that the draws are a function of the seed and N alone.
    """

    @abstractmethod
    def draw(self, number: int) -> Tensor:
        """Float32 draws `[number, K]` on the CPU."""

    @abstractmethod
    def change(self, images: Tensor, draws: Draws) -> Tensor:
        """The changed images; `images` are contiguous, and their memory may be used for it."""

    def rank(self, draws: Tensor) -> Tensor | None:
        """A small number for each image `[number]`; those of equal rank are changed together.

        A batch that comes sorted by it costs less. None, if any order is as good.
        """
        return None

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Changed copies of images `[N, C, S, S]` in [0, 1]."""
        host = self.draw(len(images))
        copies = images.clone(memory_format=torch.contiguous_format)
        return self.change(copies, Draws(host, sent(host, images.device).to(images.dtype)))


def uniform(number: int, low: float, high: float) -> Tensor:
    """Draws `[number, 1]` from U(low, high), on the CPU in float32."""
    return low + (high - low) * torch.rand(number, 1)


def chosen(number: int, share: float) -> Tensor:
    """For each of `number` images `[number, 1]` 1 with probability `share`, else 0."""
    return (torch.rand(number, 1) < share).float()


def luma(images: Tensor) -> Tensor:
    """Gray `[N, 1, H, W]` of images with one or three channels; of one channel itself."""
    if images.shape[1] == 1:
        return images
    red, green, blue = LUMA
    gray = images[:, 0:1] * red
    return gray.add_(images[:, 1:2], alpha=green).add_(images[:, 2:3], alpha=blue)
