"""The decode cache: each image is decoded and shrunk once, into a memory-mapped uint8 array.

A cache is a folder `<key>/` with `images.npy`, perhaps `masks.npy`, and `index.json`. Its key
covers the dataset's settings, the names, sizes and times of all files, and the stored size, so
that a changed file or setting makes another cache. The fingerprint inside is a digest of the
stored pixels themselves.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from ssl_registry.data.resize import shrink_image, shrink_mask
from ssl_registry.errors import DataError
from ssl_registry.files import new_folder, read_json, write_json
from ssl_registry.interfaces.dataset import Dataset, Sample
from ssl_registry.progress import Track, track

CACHE_VARIABLE = "SSL_REGISTRY_CACHE"
CACHE_VERSION = 1
BLOCK = 1024


@dataclass(frozen=True)
class CacheSettings:
    """What is stored: squares of `size` px with `channels`, and masks or not."""

    size: int
    channels: int
    masks: bool


@dataclass(frozen=True)
class ImageCache:
    """An opened cache.

    Attributes:
        images: uint8 `[N, C, size, size]`, memory-mapped, in the order of the samples.
        masks: uint8 `[N, size, size]` or `[N, K, size, size]`, or None.
        unreadable: Places of images that were left out, with the reason; their rows are zero.
        fingerprint: sha256 over the stored pixels.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8] | None
    unreadable: dict[int, str]
    fingerprint: str


def cache_root() -> Path:
    """The folder of all caches: `$SSL_REGISTRY_CACHE`, else `ssl_registry` in the user's cache."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "ssl_registry"


def open_cache(dataset: Dataset, samples: Sequence[Sample], settings: CacheSettings) -> ImageCache:
    """Open the cache of `samples`, after building it if it is not there yet.

    Raises:
        DataError: An image or mask cannot be read, or does not fit its image; names the file.
            With `skip_unreadable` in the dataset's config, such images are left out instead.
    """
    folder = cache_root() / cache_key(dataset, samples, settings)
    if not (folder / "index.json").is_file():
        with new_folder(folder) as temporary:
            _build(temporary, dataset, samples, settings)
    index = read_json(folder / "index.json")
    masks = np.load(folder / "masks.npy", mmap_mode="r") if settings.masks else None
    return ImageCache(
        images=np.load(folder / "images.npy", mmap_mode="r"),
        masks=masks,
        unreadable={int(place): reason for place, reason in index["unreadable"].items()},
        fingerprint=index["fingerprint"],
    )


def cache_key(dataset: Dataset, samples: Sequence[Sample], settings: CacheSettings) -> str:
    """Name of the cache's folder, from everything that its content depends on."""
    digest = hashlib.sha256()
    facts = {
        "version": CACHE_VERSION,
        "dataset": f"{type(dataset).__module__}.{type(dataset).__qualname__}",
        "data": dataset.data_key(),
        "skip": dataset.config.skip_unreadable,
        "classes": dataset.info.classes,
        **asdict(settings),
    }
    digest.update(json.dumps(facts, sort_keys=True).encode())
    for sample in samples:
        digest.update(f"\n{sample.id}".encode())
        for file in sample.files:
            digest.update(_stamp(file, sample.id).encode())
    return f"{dataset.config.name.replace('/', '-')}-{settings.size}px-{digest.hexdigest()[:24]}"


def _stamp(file: Path, sample_id: str) -> str:
    try:
        status = file.stat()
    except OSError as error:
        raise DataError(
            f"{file} of image {sample_id!r} cannot be read: {error.strerror}; "
            "was it moved or deleted while it was being listed?"
        ) from error
    return f"\t{file.name}\t{status.st_size}\t{status.st_mtime_ns}"


def _build(
    folder: Path, dataset: Dataset, samples: Sequence[Sample], settings: CacheSettings
) -> None:
    count, size = len(samples), settings.size
    images = open_memmap(
        folder / "images.npy",
        mode="w+",
        dtype=np.uint8,
        shape=(count, settings.channels, size, size),
    )
    masks = _mask_array(folder, dataset, count, size) if settings.masks else None
    with track(f"caching {dataset.config.name} at {size} px", count, unit="image") as bar:
        unreadable = _fill(dataset, samples, images, masks, bar)
    digest = hashlib.sha256(images.data)
    if masks is not None:
        digest.update(masks.data)
    write_json(
        folder / "index.json",
        {
            "settings": asdict(settings),
            "samples": [sample.id for sample in samples],
            "unreadable": unreadable,
            "fingerprint": digest.hexdigest(),
        },
    )


def _mask_array(folder: Path, dataset: Dataset, count: int, size: int) -> NDArray[np.uint8]:
    planes = () if dataset.info.exclusive else (len(dataset.info.classes),)
    return open_memmap(
        folder / "masks.npy", mode="w+", dtype=np.uint8, shape=(count, *planes, size, size)
    )


def _fill(
    dataset: Dataset,
    samples: Sequence[Sample],
    images: NDArray[np.uint8],
    masks: NDArray[np.uint8] | None,
    bar: Track,
) -> dict[int, str]:
    """Read all samples with several threads into the arrays; gives the unreadable ones."""

    def read(place: int) -> str:
        try:
            _store(dataset, samples[place], place, images, masks)
        except DataError as error:
            return str(error)
        return ""

    unreadable: dict[int, str] = {}
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for start in range(0, len(samples), BLOCK):
            block = range(start, min(start + BLOCK, len(samples)))
            for place, reason in zip(block, pool.map(read, block), strict=True):
                if reason and not dataset.config.skip_unreadable:
                    pool.shutdown(cancel_futures=True)
                    raise DataError(
                        f"{reason}\nMend or remove the file, or leave such images out with "
                        f"skip_unreadable = true for the dataset {dataset.config.name!r}."
                    )
                if reason:
                    unreadable[place] = reason
                bar.advance()
    if len(unreadable) == len(samples):
        raise DataError(f"no image of {dataset.config.name!r} can be read; {unreadable[0]}")
    return unreadable


def _store(
    dataset: Dataset,
    sample: Sample,
    place: int,
    images: NDArray[np.uint8],
    masks: NDArray[np.uint8] | None,
) -> None:
    image = dataset.read_image(sample)
    channels, size = images.shape[1], images.shape[-1]
    images[place] = shrink_image(image, size, channels)
    if masks is None or not sample.has_mask:
        return
    classes = len(dataset.info.classes)
    mask = dataset.read_mask(sample)
    if mask is None:
        raise DataError(f"image {sample.id!r} has no mask although the dataset says it has")
    if mask.shape[-2:] != image.shape[:2]:
        raise DataError(
            f"mask of image {sample.id!r} is {mask.shape[-1]}x{mask.shape[-2]} px, "
            f"its image {image.shape[1]}x{image.shape[0]} px"
        )
    if mask.max(initial=0) > (classes if mask.ndim == 2 else 1):
        raise DataError(f"mask of image {sample.id!r} holds values beyond its {classes} classes")
    masks[place] = shrink_mask(mask, size, classes)
