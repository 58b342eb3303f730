"""Shrinking images and masks to the square that is stored, with antialiasing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from ssl_registry.interfaces.dataset import Image, Mask

_ROUNDING = 1e-5
"""Above the error of a share in single precision, below the least difference of two shares."""


def shrink_image(image: Image, size: int, channels: int) -> NDArray[np.uint8]:
    """An image `[H, W]` or `[H, W, 3]` as `[channels, size, size]`.

    It is squashed to the square with Pillow's antialiased bilinear filter; colour becomes ITU-R
    601 luma for one channel, gray is repeated for three.
    """
    picture = PillowImage.fromarray(image)
    wanted = "L" if channels == 1 or image.ndim == 2 else "RGB"
    if picture.mode != wanted:
        picture = picture.convert(wanted)
    small = np.asarray(picture.resize((size, size), PillowImage.Resampling.BILINEAR))
    if small.ndim == 2:
        return np.broadcast_to(small, (channels, size, size))
    return small.transpose(2, 0, 1)


def shrink_mask(mask: Mask, size: int, classes: int) -> NDArray[np.uint8]:
    """A mask `[H, W]` of class numbers, or `[K, H, W]` of planes, at `size`.

    The native pixels whose centres lie in a stored pixel decide: a plane needs half of them;
    of exclusive classes and the background, the one with most of them wins, and in a tie a class
    before the background and a lower class before a higher one.
    """
    if mask.ndim == 3:
        return np.stack([_at_least_half(plane > 0, size) for plane in mask]).astype(np.uint8)
    if classes == 1:
        return _at_least_half(mask > 0, size).astype(np.uint8)
    values = [*range(1, classes + 1), 0]
    shares = np.stack([_share(mask == value, size) for value in values])
    # The first that comes near the greatest share: equal shares differ by single precision.
    first = (shares > shares.max(axis=0) - _ROUNDING).argmax(axis=0)
    winner: NDArray[np.uint8] = np.asarray(values, dtype=np.uint8)[first]
    return winner


def _at_least_half(plane: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    half: NDArray[np.bool_] = _share(plane, size) > 0.5 - _ROUNDING
    return half


def _share(plane: NDArray[np.bool_], size: int) -> NDArray[np.float32]:
    """Share of the native pixels in each stored pixel that belong to `plane`, in [0, 1]."""
    if not plane.any():
        return np.zeros((size, size), np.float32)
    picture = PillowImage.fromarray(plane.astype(np.float32))
    return np.asarray(picture.resize((size, size), PillowImage.Resampling.BOX))
