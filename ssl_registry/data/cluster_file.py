"""Clusters of near-duplicates, kept in the folder of image caches: they take seconds to find."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ssl_registry.data.cache import CacheSettings, cache_key
from ssl_registry.data.cache_place import cache_root
from ssl_registry.errors import RunError
from ssl_registry.files import read_json, write_json
from ssl_registry.interfaces.dataset import Dataset, Sample

SEARCH_VERSION: Final = 1
"""To be raised whenever the search finds other duplicates than before."""


def kept_clusters(dataset: Dataset, samples: Sequence[Sample]) -> dict[str, str]:
    """`dataset_clusters` of a dataset's samples, found once as long as no file changes.

    Raises:
        DataError: An image cannot be read, unless the dataset skips those.
    """
    path = _path(dataset, samples)
    ids = [sample.id for sample in samples]
    with contextlib.suppress(RunError, AttributeError):
        found = read_json(path)
        if list(found) == ids and all(isinstance(name, str) for name in found.values()):
            return dict(found)
    from ssl_registry.data.duplicates import dataset_clusters  # scipy takes a while to import

    clusters = dataset_clusters(dataset, samples)
    with contextlib.suppress(RunError, OSError):  # where nothing can be kept, it is found again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, clusters)
    return clusters


def _path(dataset: Dataset, samples: Sequence[Sample]) -> Path:
    """Where clusters are kept; another name if a file, a group or the search is another."""
    key = cache_key(dataset, samples, CacheSettings(0, 1, masks=False))
    groups = json.dumps([SEARCH_VERSION, key, [sample.group for sample in samples]])
    digest = hashlib.sha256(groups.encode()).hexdigest()[:24]
    return cache_root() / f"{dataset.config.name.replace('/', '-')}-clusters-{digest}.json"
