"""Small gray copies of images, squashed to squares, by which duplicates are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from ssl_registry.data.reading import read_image
from ssl_registry.errors import DataError
from ssl_registry.interfaces.dataset import Dataset, Image, Sample

SIDE = 32
"""Side of a thumbnail, px."""

DETAIL_SIDES = (128, 64, 32)
"""Sides at which two images are compared closely, px: the greatest that both of them have."""

Thumbnails = NDArray[np.uint8]


def gray_square(image: Image, side: int) -> NDArray[np.uint8]:
    """A uint8 image `[H, W]` or `[H, W, 3]` as gray `[side, side]`.

    It is averaged over boxes, so that noise and compression weigh little; colour becomes ITU-R
    601 luma.
    """
    gray = PillowImage.fromarray(image).convert("L")
    return np.asarray(gray.resize((side, side), PillowImage.Resampling.BOX))


def gray_detail(image: Image) -> NDArray[np.uint8]:
    """A gray square of the greatest of `DETAIL_SIDES` that the image has pixels for."""
    shorter = min(image.shape[:2])
    side = next((side for side in DETAIL_SIDES if side <= shorter), DETAIL_SIDES[-1])
    return gray_square(image, side)


def thumbnails(images: Iterable[Image]) -> Thumbnails:
    """Thumbnails of uint8 images `[H, W]` or `[H, W, 3]`: uint8 `[N, 32, 32]`."""
    rows = [gray_square(image, SIDE) for image in images]
    return np.stack(rows) if rows else np.empty((0, SIDE, SIDE), np.uint8)


def dataset_thumbnails(
    dataset: Dataset,
    samples: Sequence[Sample],
    threads: int | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Thumbnails:
    """Thumbnails of a dataset's samples, uint8 `[N, 32, 32]`, in their order.

    Args:
        dataset: Reads the images, in several threads.
        samples: The samples to read.
        threads: How many threads read; default: Python's own choice.
        advance: Called after each image.

    Raises:
        DataError: An image cannot be read, unless the dataset skips those; then it is black.
    """
    found = np.zeros((len(samples), SIDE, SIDE), np.uint8)
    with ThreadPoolExecutor(threads) as pool:
        rows = pool.map(lambda sample: _shrunk(dataset, sample), samples)
        for place, row in enumerate(rows):
            found[place] = row
            advance()
    return found


def read_detail(dataset: Dataset, sample: Sample) -> NDArray[np.uint8]:
    """Read an image for a close comparison; black if it is unreadable and skipped.

    Raises:
        DataError: It cannot be read, and the dataset does not skip such images.
    """
    image = _image(dataset, sample)
    return gray_detail(image) if image is not None else np.zeros((SIDE, SIDE), np.uint8)


def _shrunk(dataset: Dataset, sample: Sample) -> NDArray[np.uint8]:
    image = _image(dataset, sample)
    return gray_square(image, SIDE) if image is not None else np.zeros((SIDE, SIDE), np.uint8)


def _image(dataset: Dataset, sample: Sample) -> Image | None:
    try:
        return read_image(dataset, sample)
    except DataError:
        if not dataset.config.skip_unreadable:
            raise
        return None
