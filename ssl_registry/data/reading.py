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


def _read(read: Callable[[Sample], _Array], sample: Sample) -> _Array:
    try:
        return read(sample)
    except UNREADABLE as error:
        files = ", ".join(str(file) for file in sample.files)
        reason = error if str(error) else type(error).__name__
        raise DataError(f"image {sample.id!r} ({files}) cannot be read: {reason}") from error
