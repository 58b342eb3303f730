"""The rows of a decode cache: samples read and shrunk, some at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssl_registry.data.reading import read_checked_mask, read_image
from ssl_registry.data.resize import shrink_image, shrink_mask
from ssl_registry.errors import DataError
from ssl_registry.interfaces.dataset import Dataset, Sample

IMAGES, MASKS = "images.npy", "masks.npy"

Arrays = Mapping[str, NDArray[np.uint8]]
"""By file, `[n, ...]`: a row for each of n samples."""


@dataclass(frozen=True)
class CacheSettings:
    """What is stored: squares of `size` px with `channels`, and masks or not."""

    size: int
    channels: int
    masks: bool


@dataclass(frozen=True)
class Rows:
    """The stored pixels of some samples.

    Attributes:
        arrays: A row for each sample; zeros if it cannot be read.
        reasons: For the places among them that cannot be read, why.
    """

    arrays: Arrays
    reasons: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.arrays[IMAGES])


def row_shapes(dataset: Dataset, settings: CacheSettings) -> dict[str, tuple[int, ...]]:
    """The shape of one sample's part of each array, by file."""
    square = (settings.size, settings.size)
    shapes: dict[str, tuple[int, ...]] = {IMAGES: (settings.channels, *square)}
    if settings.masks:
        planes = () if dataset.info.exclusive else (len(dataset.info.classes),)
        shapes[MASKS] = (*planes, *square)
    return shapes


def new_rows(dataset: Dataset, count: int, settings: CacheSettings) -> Arrays:
    """Arrays for the rows of `count` samples."""
    shapes = row_shapes(dataset, settings)
    return {name: np.empty((count, *shape), np.uint8) for name, shape in shapes.items()}


def decode_rows(
    dataset: Dataset, samples: Sequence[Sample], settings: CacheSettings, arrays: Arrays
) -> Rows:
    """Read and shrink some samples into `arrays`; unreadable ones become zeros with a reason.

    Raises:
        PluginError: The dataset gives images or masks that are not as its contract says.
    """
    reasons = {}
    for place, sample in enumerate(samples):
        try:
            _decode(dataset, sample, settings, arrays, place)
        except DataError as error:
            reasons[place] = str(error) or f"image {sample.id!r} cannot be read"
            for array in arrays.values():
                array[place] = 0
    return Rows(arrays, reasons)


def _decode(
    dataset: Dataset, sample: Sample, settings: CacheSettings, arrays: Arrays, place: int
) -> None:
    image = read_image(dataset, sample)
    arrays[IMAGES][place] = shrink_image(image, settings.size, settings.channels)
    if settings.masks and sample.has_mask:
        mask = read_checked_mask(dataset, sample, image)
        arrays[MASKS][place] = shrink_mask(mask, settings.size, len(dataset.info.classes))
    elif settings.masks:
        arrays[MASKS][place] = 0
