"""Writing a decode cache: samples are read and shrunk by several threads, and stored in order.

The arrays are written as a file is written, not through a memory map: on a full disk that would
kill the process instead of raising an error.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import os
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray

from ssl_registry.data.reading import read_image, read_mask
from ssl_registry.data.resize import shrink_image, shrink_mask
from ssl_registry.errors import DataError, PluginError
from ssl_registry.files import write_json
from ssl_registry.interfaces.dataset import Dataset, Image, Mask, Sample
from ssl_registry.progress import track

INDEX, IMAGES, MASKS = "index.json", "images.npy", "masks.npy"
WAITING_BYTES = 2**28
"""At most about so many bytes of finished rows wait to be written."""
TASK = 8
"""Samples that a thread reads at a time; handing them over one by one costs a few per cent."""


@dataclass(frozen=True)
class CacheSettings:
    """What is stored: squares of `size` px with `channels`, and masks or not."""

    size: int
    channels: int
    masks: bool


@dataclass(frozen=True)
class _Row:
    """The stored arrays of one sample, by file; or the reason why there are none."""

    arrays: Mapping[str, NDArray[np.uint8]]
    reason: str = ""


def write_cache(
    folder: Path, dataset: Dataset, samples: Sequence[Sample], settings: CacheSettings
) -> None:
    """Read all samples and write `images.npy`, `masks.npy` if wanted, and `index.json`.

    The index holds the fingerprint: sha256 over each sample's stored image and mask in turn.

    Raises:
        DataError: A sample cannot be used, and the dataset's config does not skip such, or none
            can be used; names the file.
        PluginError: The dataset gives images or masks that are not as its contract says.
    """
    shapes = _row_shapes(dataset, settings)
    title = f"caching {dataset.config.name} at {settings.size} px"
    digest = hashlib.sha256()
    unreadable: dict[int, str] = {}
    with ExitStack() as stack:
        files = {name: stack.enter_context((folder / name).open("wb")) for name in shapes}
        for name, file in files.items():
            _write_header(file, (len(samples), *shapes[name]))
        rows = stack.enter_context(closing(_rows(dataset, samples, settings, shapes)))
        bar = stack.enter_context(track(title, len(samples), unit="image"))
        for place, row in enumerate(rows):
            if row.reason:
                unreadable[place] = row.reason
            for name, file in files.items():
                file.write(row.arrays[name].data)
                digest.update(row.arrays[name].data)
            bar.advance()
        if len(unreadable) == len(samples):
            raise DataError(f"no image of {dataset.config.name!r} can be read; {unreadable[0]}")
    index = {
        "settings": asdict(settings),
        "samples": [sample.id for sample in samples],
        "unreadable": unreadable,
        "fingerprint": digest.hexdigest(),
    }
    write_json(folder / INDEX, index)


def _row_shapes(dataset: Dataset, settings: CacheSettings) -> dict[str, tuple[int, ...]]:
    """The shape of one sample's part of each array, by file."""
    square = (settings.size, settings.size)
    shapes: dict[str, tuple[int, ...]] = {IMAGES: (settings.channels, *square)}
    if settings.masks:
        planes = () if dataset.info.exclusive else (len(dataset.info.classes),)
        shapes[MASKS] = (*planes, *square)
    return shapes


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _rows(
    dataset: Dataset,
    samples: Sequence[Sample],
    settings: CacheSettings,
    shapes: Mapping[str, tuple[int, ...]],
) -> Generator[_Row, None, None]:
    """The rows of all samples in order; stops at the first unreadable one if none is skipped."""
    nothing = {name: np.zeros(shape, np.uint8) for name, shape in shapes.items()}

    def read(sample: Sample) -> _Row:
        try:
            return _Row(nothing | _row(dataset, sample, settings))
        except DataError as error:
            return _Row(nothing, str(error))

    def read_some(start: int) -> list[_Row]:
        return [read(sample) for sample in samples[start : start + TASK]]

    row_bytes = sum(math.prod(shape) for shape in shapes.values())
    at_once = TASK * max(1, WAITING_BYTES // row_bytes // TASK)
    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    try:
        for start in range(0, len(samples), at_once):
            tasks = pool.map(read_some, range(start, min(start + at_once, len(samples)), TASK))
            for row in itertools.chain.from_iterable(tasks):
                if row.reason and not dataset.config.skip_unreadable:
                    raise DataError(
                        f"{row.reason}\nMend or remove the file, or leave such images out with "
                        f"skip_unreadable = true for the dataset {dataset.config.name!r}."
                    )
                yield row
    finally:
        # What has not begun is dropped, so that an error is told at once.
        pool.shutdown(cancel_futures=True)


def _row(dataset: Dataset, sample: Sample, settings: CacheSettings) -> dict[str, NDArray[np.uint8]]:
    """Read and shrink one sample."""
    image = read_image(dataset, sample)
    row = {IMAGES: shrink_image(image, settings.size, settings.channels)}
    if settings.masks and sample.has_mask:
        mask = _mask(dataset, sample, image)
        row[MASKS] = shrink_mask(mask, settings.size, len(dataset.info.classes))
    return {name: np.ascontiguousarray(array) for name, array in row.items()}


def _mask(dataset: Dataset, sample: Sample, image: Image) -> Mask:
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
