"""Reading samples by a dataset's own readers: what a damaged or vanished file raises is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from ssl_registry.data.pictures import UNREADABLE
from ssl_registry.errors import DataError, PluginError
from ssl_registry.interfaces.dataset import Dataset, Image, Mask, Sample

_Array = TypeVar("_Array")


def read_image(dataset: Dataset, sample: Sample) -> Image:
    """Read one image, uint8 `[H, W]` or `[H, W, 3]`.

    Raises:
        DataError: It cannot be read or has no pixels; names the image and its files.
        PluginError: The dataset gives an array of another kind.
    """
    image = _read(dataset.read_image, sample)
    if image.dtype != np.uint8 or image.shape[2:] not in ((), (3,)) or image.ndim < 2:
        raise PluginError(
            f"dataset {dataset.config.name!r} gives image {sample.id!r} as {image.dtype} "
            f"{list(image.shape)}; it must be uint8 [H, W] or [H, W, 3]"
        )
    if not image.size:
        raise DataError(f"image {sample.id!r} has no pixels")
    return image


def read_mask(dataset: Dataset, sample: Sample) -> Mask | None:
    """Read one mask as the dataset gives it, or None if there is none.

    Raises:
        DataError: It cannot be read; names the image and its files.
    """
    return _read(dataset.read_mask, sample)


def read_checked_mask(dataset: Dataset, sample: Sample, image: Image) -> Mask:
    """Read the mask that a sample has, and hold it against its image and the dataset's classes.

    Raises:
        DataError: There is none, it cannot be read, has another size than `image`, or holds
            values beyond the classes.
        PluginError: The dataset gives an array of another shape than its contract says.
    """
    info = dataset.info
    mask = read_mask(dataset, sample)
    if mask is None:
        raise DataError(f"image {sample.id!r} has no mask although the dataset says it has")
    if mask.shape[:-2] != (() if info.exclusive else (len(info.classes),)):
        wanted = "[H, W]" if info.exclusive else f"[{len(info.classes)}, H, W]"
        raise PluginError(
            f"dataset {dataset.config.name!r} gives the mask of image {sample.id!r} as "
            f"{list(mask.shape)}; it must be {wanted}"
        )
    if mask.shape[-2:] != image.shape[:2]:
        raise DataError(
            f"mask of image {sample.id!r} is {mask.shape[-1]}x{mask.shape[-2]} px, "
            f"its image {image.shape[1]}x{image.shape[0]} px"
        )
    if mask.max() > (len(info.classes) if info.exclusive else 1):
        raise DataError(
            f"mask of image {sample.id!r} holds values beyond its {len(info.classes)} classes"
        )
    return mask


def class_planes(mask: Mask, classes: int) -> list[Mask]:
    """One plane of 0 and 1 per class, of a mask as a dataset gives it."""
    if mask.ndim == 3:
        return list(mask)
    return [(mask == number).astype(np.uint8) for number in range(1, classes + 1)]


def _read(read: Callable[[Sample], _Array], sample: Sample) -> _Array:
    try:
        return read(sample)
    except UNREADABLE as error:
        files = ", ".join(str(file) for file in sample.files)
        reason = error if str(error) else type(error).__name__
        raise DataError(f"image {sample.id!r} ({files}) cannot be read: {reason}") from error
