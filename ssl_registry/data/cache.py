"""The decode cache: each image is decoded and shrunk once, into a memory-mapped uint8 array.

A cache is a folder `<key>/` with `images.npy`, perhaps `masks.npy`, and `index.json`. Its key
covers the dataset's settings without its paths, the names, sizes and times of all files, and
what is stored, so that a changed file or setting makes another cache and a moved folder does not.
The fingerprint inside is a digest of the stored pixels themselves.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssl_registry.data.cache_build import build_cache
from ssl_registry.data.cache_place import CACHE_VARIABLE as CACHE_VARIABLE
from ssl_registry.data.cache_place import cache_root as cache_root
from ssl_registry.data.cache_rows import IMAGES, MASKS
from ssl_registry.data.cache_rows import CacheSettings as CacheSettings
from ssl_registry.data.cache_writer import INDEX
from ssl_registry.data.collection import no_collection
from ssl_registry.errors import DataError, RunError
from ssl_registry.files import read_json
from ssl_registry.interfaces.dataset import Dataset, Sample
from ssl_registry.provenance import identity

CACHE_VERSION = 3


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


def open_cache(dataset: Dataset, samples: Sequence[Sample], settings: CacheSettings) -> ImageCache:
    """Open the cache of `samples`, after building it if it is not there yet.

    A build that was killed is gone on with; if another process builds the same cache, its end is
    awaited.

    Raises:
        DataError: An image or mask cannot be read, or does not fit its image; names the file.
            With `skip_unreadable` in the dataset's config, such images are left out instead.
        PluginError: The dataset gives images or masks that are not as its contract says.
        RunError: The cache cannot be written, or was damaged.
    """
    folder = cache_root() / cache_key(dataset, samples, settings)
    if not (folder / INDEX).is_file():
        build_cache(folder, dataset, samples, settings)
    try:
        return _read(folder, settings)
    except (RunError, OSError, ValueError, KeyError) as error:
        raise RunError(f"the image cache {folder} is damaged; delete it ({error})") from error


def _read(folder: Path, settings: CacheSettings) -> ImageCache:
    index = read_json(folder / INDEX)
    with contextlib.suppress(OSError):  # others may share a cache that only its owner writes
        os.utime(folder / INDEX)  # tells when the cache was last used
    return ImageCache(
        images=np.load(folder / IMAGES, mmap_mode="r"),
        masks=np.load(folder / MASKS, mmap_mode="r") if settings.masks else None,
        unreadable={int(place): reason for place, reason in index["unreadable"].items()},
        fingerprint=index["fingerprint"],
    )


def cache_key(dataset: Dataset, samples: Sequence[Sample], settings: CacheSettings) -> str:
    """Name of the cache's folder, from everything that its content depends on.

    Raises:
        DataError: A file that was listed is not there any more.
    """
    with no_collection():
        digest = _digest(dataset, samples, settings)
    return f"{dataset.config.name.replace('/', '-')}-{settings.size}px-{digest[:24]}"


def _digest(dataset: Dataset, samples: Sequence[Sample], settings: CacheSettings) -> str:
    # None of these changes a dataset's pixels.
    config = dataset.config.model_dump(mode="python", exclude={"name", "split", "weight"})
    facts = {
        "version": CACHE_VERSION,
        "dataset": f"{type(dataset).__module__}.{type(dataset).__qualname__}",
        "code": _code(type(dataset)),
        "data": dataset.data_key(),
        "config": identity(config),
        "classes": dataset.info.classes,
        "exclusive": dataset.info.exclusive,
        **asdict(settings),
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    digest.update(_listed(samples).encode())
    return digest.hexdigest()


def _code(kind: type[Dataset]) -> str:
    """Digest of the file of a dataset's class, since that decides what is read of the files.

    Nothing of a class in a script or notebook, where the file is that of much else.
    """
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if kind.__module__ == "__main__" or file is None:
        return ""
    try:
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    except OSError:  # as in an archive
        return ""


def _listed(samples: Sequence[Sample]) -> str:
    """What is known of the samples' files, as Python writes a list of tuples."""
    # Keyed by text: the hash of a path costs as much as a look at the file.
    stamps: dict[str, str] = {}
    facts = []
    for sample in samples:
        files = []
        for path in sample.files:
            file = os.fspath(path)
            stamp = stamps.get(file)
            if stamp is None:
                stamp = stamps[file] = _stamp(file, sample.id)
            files.append(stamp)
        facts.append(f"({sample.id!r}, {sample.has_mask!r}, [{', '.join(files)}])")
    return f"[{', '.join(facts)}]"


def _stamp(file: str, sample_id: str) -> str:
    """Name, size and time of a file."""
    try:
        status = os.stat(file)  # noqa: PTH116 - a path of text is looked at twice as fast
    except OSError as error:
        raise DataError(
            f"{file} of image {sample_id!r} cannot be read: {error.strerror}; "
            "was it moved or deleted while it was being listed?"
        ) from error
    name = file.rpartition(os.sep)[2]
    return f"({name!r}, {status.st_size}, {status.st_mtime_ns})"
