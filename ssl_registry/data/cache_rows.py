"""The rows of a decode cache: samples read and shrunk by several threads, given in order."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssl_registry.data.reading import read_checked_mask, read_image
from ssl_registry.data.resize import shrink_image, shrink_mask
from ssl_registry.errors import DataError
from ssl_registry.interfaces.dataset import Dataset, Sample

IMAGES, MASKS = "images.npy", "masks.npy"
WAITING_BYTES = 2**28
"""At most about so many bytes of finished rows wait to be written."""
WAITING_TASKS = 64
"""At most so many tasks are under way or wait to be written."""
TASK = 8
"""Samples that a thread reads at a time; handing them over one by one costs a few per cent."""


@dataclass(frozen=True)
class CacheSettings:
    """What is stored: squares of `size` px with `channels`, and masks or not."""

    size: int
    channels: int
    masks: bool


@dataclass(frozen=True)
class Row:
    """The stored arrays of one sample, by file; zeros and a reason if it cannot be read."""

    arrays: Mapping[str, NDArray[np.uint8]]
    reason: str = ""


def row_shapes(dataset: Dataset, settings: CacheSettings) -> dict[str, tuple[int, ...]]:
    """The shape of one sample's part of each array, by file."""
    square = (settings.size, settings.size)
    shapes: dict[str, tuple[int, ...]] = {IMAGES: (settings.channels, *square)}
    if settings.masks:
        planes = () if dataset.info.exclusive else (len(dataset.info.classes),)
        shapes[MASKS] = (*planes, *square)
    return shapes


def read_rows(
    dataset: Dataset, samples: Sequence[Sample], settings: CacheSettings
) -> Generator[list[Row], None, None]:
    """The rows of all samples in order, a few at a time.

    Raises:
        DataError: A sample cannot be used, and the dataset's config does not skip such; names
            the file.
        PluginError: The dataset gives images or masks that are not as its contract says.
    """
    shapes = row_shapes(dataset, settings)
    nothing = {name: np.zeros(shape, np.uint8) for name, shape in shapes.items()}

    def read(sample: Sample) -> Row:
        try:
            return Row(nothing | _row(dataset, sample, settings))
        except DataError as error:
            return Row(nothing, str(error) or f"image {sample.id!r} cannot be read")

    def read_some(start: int) -> list[Row]:
        return [read(sample) for sample in samples[start : start + TASK]]

    task_bytes = TASK * sum(math.prod(shape) for shape in shapes.values())
    limit = max(1, min(WAITING_TASKS, WAITING_BYTES // task_bytes))
    waiting: deque[Future[list[Row]]] = deque()
    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    try:
        for start in range(0, len(samples), TASK):
            if len(waiting) == limit:
                yield _usable(waiting.popleft().result(), dataset)
            waiting.append(pool.submit(read_some, start))
        while waiting:
            yield _usable(waiting.popleft().result(), dataset)
    finally:
        # What has not begun is dropped, so that an error is told at once.
        pool.shutdown(cancel_futures=True)


def _usable(rows: list[Row], dataset: Dataset) -> list[Row]:
    """The rows, unless one cannot be read and such are not skipped."""
    if not dataset.config.skip_unreadable:
        for row in rows:
            if row.reason:
                raise DataError(
                    f"{row.reason}\nMend or remove the file, or leave such images out with "
                    f"skip_unreadable = true for the dataset {dataset.config.name!r}."
                )
    return rows


def _row(dataset: Dataset, sample: Sample, settings: CacheSettings) -> dict[str, NDArray[np.uint8]]:
    """Read and shrink one sample."""
    image = read_image(dataset, sample)
    row = {IMAGES: shrink_image(image, settings.size, settings.channels)}
    if settings.masks and sample.has_mask:
        mask = read_checked_mask(dataset, sample, image)
        row[MASKS] = shrink_mask(mask, settings.size, len(dataset.info.classes))
    return {name: np.ascontiguousarray(array) for name, array in row.items()}
