"""Colour jitter and grayscale of a whole batch, with torchvision's formulas."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_registry.augment.blocks import blocks
from ssl_registry.augment.jitter import Jitter
from ssl_registry.augment.operation import BatchOperation, Draws, chosen, luma

_NAMES = ("brightness", "contrast", "saturation", "hue")
_COLUMNS = 4
_CHANNEL_BYTES = 512 << 10
"""What a channel of the images whose hue is turned together takes on the CPU, about."""


class BatchJitter(BatchOperation):
    """Brightness, contrast, saturation and hue, each image in an order of its own.

    Brightness, contrast and saturation all blend the image with something else, and cut off at 0
    and 1: with black, with the image's mean gray, with its gray. In each turn all images are
    blended at once, each with what its order says: first those turns that come before an image's
    hue, then hue for all images, then the turns after it. Images are sorted by the turn of their
    hue, so that those of a turn lie next to each other. On one channel hue and saturation, which
    do nothing there, are left out.

    The formulas are torchvision's, but for the weights of gray, which sum to 1 here and to 0.9999
    there: so an image of three equal channels gives the views of its one channel.

    Args:
        jitter: Strengths and probability.
        channels: 1 or 3.
    """

    def __init__(self, jitter: Jitter, channels: int) -> None:
        super().__init__()
        self._given = jitter
        strengths = {"brightness": jitter.brightness, "contrast": jitter.contrast}
        if channels == 3:
            strengths |= {"saturation": jitter.saturation, "hue": jitter.hue}
        self._strengths = {name: value for name, value in strengths.items() if value > 0}

    def extra_repr(self) -> str:
        """The strengths that are used, and the probability."""
        used = ", ".join(f"{name}={self._strengths.get(name, 0.0)}" for name in _NAMES)
        return f"{used}, p={self._given.share}"

    def draw(self, number: int) -> Tensor:
        """Whether to jitter, the turn of hue, and four numbers per turn.

        Those of a turn are what the image is multiplied with, how much of its mean gray and how
        much of the gray of each pixel is added, and the turn of its hue.
        """
        jittered = chosen(number, self._given.share)
        # Drawn for all four, so that one channel and three get the same draws.
        keys, shares = torch.rand(2, number, len(_NAMES))
        used = [_NAMES.index(name) for name in self._strengths]
        if not used:
            return jittered
        order = keys[:, used].argsort(dim=1)
        effects = [self._effect(name, shares[:, _NAMES.index(name)]) for name in self._strengths]
        effects.append(torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(number, -1))
        # The place of the last name in the order: hue's, where there is hue.
        last = (order == len(used) - 1).int().argmax(dim=1, keepdim=True)
        order = torch.where(jittered > 0, order, len(used))
        turns = torch.stack(effects, dim=1).gather(1, order[..., None].expand(-1, -1, _COLUMNS))
        return torch.cat([jittered, last.float(), turns.flatten(1)], dim=1)

    def _effect(self, name: str, share: Tensor) -> Tensor:
        """The four numbers of a turn `[N, 4]` in which an image gets `name`.

        Args:
            name: What it gets.
            share: `[N]`, where in its range each factor is.
        """
        strength, nothing = self._strengths[name], torch.zeros_like(share)
        if name == "hue":
            turn = strength * (2 * share - 1)
            return torch.stack([nothing + 1, nothing, nothing, turn], dim=1)
        low = max(0.0, 1 - strength)
        factor = low + (1 + strength - low) * share
        mean = 1 - factor if name == "contrast" else nothing
        own = 1 - factor if name == "saturation" else nothing
        return torch.stack([factor, mean, own, nothing], dim=1)

    def change(self, images: Tensor, draws: Draws) -> Tensor:
        """Jitter the images that were chosen."""
        turns = len(self._strengths)
        if "hue" not in self._strengths:
            for turn in range(turns):
                self._blend(images, draws.here, turn)
            return images
        # First those that hue comes first for, and so on; last those that are not jittered.
        due = self._due(draws.host)
        # How many have had their hue by the end of each turn.
        ends = due.bincount(minlength=turns).cumsum(0)[:turns].tolist()
        if (due[1:] >= due[:-1]).all():  # as a chain hands them over
            self._jitter(images, draws.here, ends)
            return images
        order = due.argsort(stable=True)
        there, back = draws.at(torch.stack([order, order.argsort()]))
        ordered = images.index_select(0, there)
        self._jitter(ordered, draws.here.index_select(0, there), ends)
        return torch.index_select(ordered, 0, back, out=images)

    def rank(self, draws: Tensor) -> Tensor | None:
        """The turn of an image's hue; on one channel any order is as good."""
        return self._due(draws) if "hue" in self._strengths else None

    def _due(self, draws: Tensor) -> Tensor:
        """The turn of each image's hue, and the number of turns for those not jittered."""
        return torch.where(draws[:, 0] > 0, draws[:, 1], len(self._strengths)).long()

    def _jitter(self, images: Tensor, table: Tensor, ends: Sequence[int]) -> None:
        """Jitter images in place that are sorted by the turn of their hue.

        Args:
            images: Sorted images.
            table: Their draws.
            ends: For each turn, how many images have had their hue by its end.
        """
        turns, count = len(ends), ends[-1]
        for turn in range(turns - 1):
            self._blend(images[ends[turn] : count], table[ends[turn] : count], turn)
        # Of an image's turns one has a hue, the others have 0.
        turn_hue(images[:count], table[:count, 2 + _COLUMNS - 1 :: _COLUMNS].sum(dim=1))
        for turn in range(1, turns):
            self._blend(images[: ends[turn - 1]], table[: ends[turn - 1]], turn)

    def _blend(self, images: Tensor, table: Tensor, turn: int) -> None:
        """What all images but those whose hue is due get in a turn, in place."""
        if not len(images):
            return
        first = 2 + _COLUMNS * turn
        factor, mean, own = (
            table[:, column].view(-1, 1, 1, 1) for column in range(first, first + 3)
        )
        gray = luma(images)
        base = gray.mean(dim=(1, 2, 3), keepdim=True) * mean
        if "saturation" in self._strengths:
            # Two plain calls: torch takes a broadcast sum and product together value by value.
            gray.mul_(own).add_(base)
            torch.addcmul(gray, images, factor, out=images).clamp_(0, 1)
        else:
            images.mul_(factor).add_(base).clamp_(0, 1)


class BatchGrayscale(BatchOperation):
    """Takes the colour from images of three channels, which keep three equal channels.

    Args:
        share: Probability for each image.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.share}"

    def draw(self, number: int) -> Tensor:
        """Whether an image loses its colour: `[number, 1]`."""
        return chosen(number, self.share)

    def change(self, images: Tensor, draws: Draws) -> Tensor:
        """Take the colour from the images that were chosen."""
        places = draws.host[:, 0].nonzero()[:, 0]
        if len(places):
            where = draws.at(places)
            gray = luma(images.index_select(0, where))
            images.index_copy_(0, where, gray.expand(-1, images.shape[1], -1, -1))
        return images


def turn_hue(images: Tensor, turns: Tensor) -> None:
    """Turn the hue of RGB images `[N, 3, H, W]` in [0, 1] in HSV space, in place.

    Value and saturation stay, and with them the largest and the smallest of a pixel's channels;
    each channel moves between the two as a trapezoid of the hue. On the CPU a few images are taken
    at a time, whose planes stay in the cores' own caches over the thirty operations on them.

    Args:
        images: The images.
        turns: `[N]`, shares of a full turn.
    """
    plane = images[0, 0].nbytes if len(images) else 0
    for block in blocks(len(images), plane, images.device, _CHANNEL_BYTES):
        _turn_hue(images[block], turns[block])


def _turn_hue(images: Tensor, turns: Tensor) -> None:
    red, green, blue = images.unbind(1)
    high, low = torch.maximum(red, green), torch.minimum(red, green)
    torch.maximum(high, blue, out=high)
    torch.minimum(low, blue, out=low)
    chroma = (high - low).clamp_(min=torch.finfo(images.dtype).tiny)
    # In turns, from -1/2 to 1/2: for red 0, green 1/3, blue -1/3. With the channels scaled to
    # [0, 1] six times it is 1 + green + blue - red on the side of green, and the mirror image on
    # blue's; without chroma it is of no effect.
    hue = (green + blue).sub_(red).sub_(low).div_(chroma).add_(1).mul_(1 / 6)
    other = green - blue
    hue.copysign_(other).add_(turns[:, None, None])
    hue.sub_(torch.round(hue, out=other))
    # Red falls on both sides of its own hue, green and blue rise around the opposite of theirs,
    # each by the whole chroma within a sixth of a turn.
    share = torch.abs(hue, out=other).sub_(1 / 6).clamp_(0, 1 / 6)
    torch.addcmul(high, chroma, share, value=-6, out=red)
    for channel, opposite in ((green, -1 / 6), (blue, 1 / 6)):
        share = torch.sub(hue, opposite, out=other).abs_().sub_(1 / 6).clamp_(0, 1 / 6)
        torch.addcmul(low, chroma, share, value=6, out=channel)
