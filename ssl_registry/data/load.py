"""A dataset made ready for a run: listed, split and cached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ssl_registry.build import build_dataset
from ssl_registry.config.model import DatasetConfig
from ssl_registry.config.split import PARTS, Part
from ssl_registry.data.cache import CacheSettings, ImageCache, open_cache
from ssl_registry.data.collection import no_collection
from ssl_registry.data.dataset_split import split_dataset
from ssl_registry.data.splits import split_digest
from ssl_registry.errors import DataError
from ssl_registry.interfaces.dataset import Dataset, Sample
from ssl_registry.kept import kept


@dataclass(frozen=True)
class LoadedData:
    """A dataset with its samples, their parts, and their cached pixels.

    Attributes:
        samples: All samples, in the order of the cache.
        parts: Part of each sample, by id.
        cache: The cached pixels.
    """

    dataset: Dataset
    samples: tuple[Sample, ...]
    parts: dict[str, Part]
    cache: ImageCache

    def places(self, parts: Sequence[Part]) -> NDArray[np.int64]:
        """Places of the readable samples that belong to one of `parts`, in order."""
        return np.flatnonzero(np.isin(self._part_numbers, [PARTS.index(part) for part in parts]))

    @cached_property
    def _part_numbers(self) -> NDArray[np.int8]:
        """For each sample the place of its part in `PARTS`; -1 where it cannot be read."""
        number_of = {part: number for number, part in enumerate(PARTS)}
        numbers = [number_of[self.parts[sample.id]] for sample in self.samples]
        found = np.asarray(numbers, dtype=np.int8)
        found[list(self.cache.unreadable)] = -1
        return found

    def describe(self) -> dict[str, object]:
        """What a card and a report say of the data."""
        info = self.dataset.info
        counts = {part: len(self.places([part])) for part in ("train", "val", "test")}
        return {
            "name": self.dataset.config.name,
            "organ": info.organ,
            "modality": info.modality,
            "licence": info.licence,
            "citation": info.citation,
            "source": info.source,
            "images": counts,
            "unreadable": sorted(self.cache.unreadable.values()),
            "fingerprint": self.cache.fingerprint,
            "split": split_digest(self.parts),
        }


def load_data(config: DatasetConfig, *, size: int, channels: int, masks: bool) -> LoadedData:
    """List, split and cache a dataset.

    Args:
        config: The dataset's config; its `split` says how samples are divided.
        size: Side of the cached squares, px.
        channels: Channels to store; 1 is enough for a gray dataset.
        masks: Whether masks are needed.

    Raises:
        DatasetNotFoundError: The data are not there.
        DataError: They cannot be used; says which file and what to do.
    """
    return kept(
        "data",
        (config.model_dump_json(), size, channels, masks),
        lambda: _load(config, size, channels, masks),
    )


def _load(config: DatasetConfig, size: int, channels: int, masks: bool) -> LoadedData:
    with no_collection():
        dataset = build_dataset(config)
        samples = tuple(dataset.samples())
        if not samples:
            raise DataError(f"dataset {config.name!r} has no images")
        if masks and not dataset.info.classes:
            raise DataError(f"dataset {config.name!r} has no masks to learn from")
        parts = split_dataset(dataset, samples)
    cache = open_cache(dataset, samples, CacheSettings(size, channels, masks))
    return LoadedData(dataset, samples, parts, cache)
