"""Shrinking images and masks to the square that is stored, with antialiasing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from ssl_registry.interfaces.dataset import Image, Mask


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

    A pixel gets a class where that covers at least half of the pixel's area (Pillow's box
    filter); with several exclusive classes, the one (or the background) that covers most.
    """
    if mask.ndim == 3:
        planes = [_coverage(plane > 0, size) >= 0.5 for plane in mask]
        return np.stack(planes).astype(np.uint8)
    if classes == 1:
        return (_coverage(mask > 0, size) >= 0.5).astype(np.uint8)
    areas = np.stack([_coverage(mask == value, size) for value in range(classes + 1)])
    winner: NDArray[np.uint8] = areas.argmax(axis=0).astype(np.uint8)
    return winner


def _coverage(plane: NDArray[np.bool_], size: int) -> NDArray[np.float32]:
    """Share of each stored pixel's area that `plane` covers, in [0, 1]."""
    picture = PillowImage.fromarray(plane.astype(np.float32))
    return np.asarray(picture.resize((size, size), PillowImage.Resampling.BOX))
