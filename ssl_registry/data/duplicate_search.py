"""The search for duplicates over one or several datasets, with all that a person asks of a pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ssl_registry.build import build_dataset
from ssl_registry.config.model import DatasetConfig
from ssl_registry.config.split import Part
from ssl_registry.data.dataset_split import split_dataset
from ssl_registry.data.duplicates import (
    DuplicatePair,
    apart,
    clusters,
    find_duplicates,
)
from ssl_registry.data.similarity import Keep
from ssl_registry.data.thumbnails import dataset_thumbnails, read_detail
from ssl_registry.errors import ConfigError, DataError
from ssl_registry.interfaces.dataset import Dataset, Sample
from ssl_registry.progress import track

Between = Literal["all", "sets", "parts"]


@dataclass(frozen=True)
class Item:
    """One image of a search.

    Attributes:
        dataset: Reads it.
        name: What its dataset is called in the search.
        sample: The image.
        part: The part it is in, if the dataset's config says how to split, or the release does.
    """

    dataset: Dataset
    name: str
    sample: Sample
    part: Part | None

    @property
    def group(self) -> str | None:
        """Its group, told apart from groups of other datasets."""
        return None if self.sample.group is None else f"{self.name}/{self.sample.group}"


@dataclass(frozen=True)
class DuplicateSearch:
    """What a search found.

    Attributes:
        items: All images.
        pairs: The duplicates, the surest first.
        within_groups: Those of one group (patient, recording), which are alike by nature, if
            they were asked for.
        cluster: For each image the place of the first image of its cluster of `pairs`.
    """

    items: tuple[Item, ...]
    pairs: tuple[DuplicatePair, ...]
    within_groups: tuple[DuplicatePair, ...]
    cluster: tuple[int, ...]

    def cluster_sizes(self) -> list[int]:
        """Sizes of the clusters of several images, the largest first."""
        return sorted((n for n in Counter(self.cluster).values() if n > 1), reverse=True)

    def leak(self, pair: DuplicatePair) -> Part | None:
        """The part beside train of a pair that straddles train and another part of one dataset."""
        one, other = self.items[pair.first], self.items[pair.second]
        if one.name != other.name or one.part == other.part:
            return None
        if "train" not in (one.part, other.part):
            return None
        return other.part if one.part == "train" else one.part

    def straddling(self) -> int:
        """How many pairs have a training image and one of another part of the same dataset."""
        return sum(self.leak(pair) is not None for pair in self.pairs)


def search_duplicates(
    configs: Sequence[DatasetConfig],
    *,
    threshold: float | None = None,
    flips: bool = True,
    between: Between = "all",
    within_groups: bool = False,
    threads: int | None = None,
) -> DuplicateSearch:
    """Find all duplicates in and between datasets.

    Args:
        configs: The datasets.
        threshold: Least score of a pair; see `find_duplicates`.
        flips: Whether mirrored and turned copies are looked for.
        between: `all` pairs, only those of different `sets`, or only those of different `parts`.
        within_groups: Whether pairs of one group are listed too.
        threads: How many threads read; default: Python's own choice.

    Raises:
        DataError: A dataset has no images, cannot be split as it says, or cannot be read.
        ConfigError: There are no different sets or parts to search between.
    """
    items = collect(configs)
    groups = [item.group for item in items]
    keep = _kept(items, between, None if within_groups else apart(groups))
    thumbnails = _thumbnails(items, threads)
    pairs = find_duplicates(
        thumbnails,
        lambda place: read_detail(items[place].dataset, items[place].sample),
        keep=keep,
        threshold=threshold,
        flips=flips,
        show=True,
    )
    outside = tuple(p for p in pairs if groups[p.first] is None or not _same_group(groups, p))
    inside = tuple(p for p in pairs if groups[p.first] is not None and _same_group(groups, p))
    linked = clusters(len(items), [(pair.first, pair.second) for pair in outside])
    return DuplicateSearch(tuple(items), outside, inside, tuple(linked))


def collect(configs: Sequence[DatasetConfig]) -> list[Item]:
    """The images of several datasets; datasets of one name are numbered."""
    total = Counter(config.name for config in configs)
    seen: Counter[str] = Counter()
    items = []
    for config in configs:
        seen[config.name] += 1
        name = config.name if total[config.name] == 1 else f"{config.name}#{seen[config.name]}"
        dataset = build_dataset(config)
        samples = tuple(dataset.samples())
        if not samples:
            raise DataError(f"dataset {config.name!r} has no images")
        parts = _parts(dataset, samples)
        items += [Item(dataset, name, sample, parts.get(sample.id)) for sample in samples]
    return items


def _parts(dataset: Dataset, samples: Sequence[Sample]) -> dict[str, Part]:
    """The parts that the config says in so many words, else those of the release."""
    if "split" in dataset.config.model_fields_set:
        return split_dataset(dataset, samples)
    return {sample.id: sample.split for sample in samples if sample.split is not None}


def _thumbnails(items: Sequence[Item], threads: int | None) -> NDArray[np.uint8]:
    members: dict[str, list[Item]] = {}
    for item in items:
        members.setdefault(item.name, []).append(item)
    with track("reading images", len(items), unit="image") as bar:
        return np.concatenate(
            [
                dataset_thumbnails(
                    some[0].dataset, [item.sample for item in some], threads, bar.advance
                )
                for some in members.values()
            ]
        )


def _same_group(groups: Sequence[str | None], pair: DuplicatePair) -> bool:
    return groups[pair.first] == groups[pair.second]


def _kept(items: Sequence[Item], between: Between, base: Keep | None) -> Keep | None:
    if between == "all":
        return base
    keys = [item.name if between == "sets" else f"{item.name}/{item.part}" for item in items]
    if len(set(keys)) < 2:
        # Nothing would be found, which would read as if nothing were there.
        need = "name a second one" if between == "sets" else "say how to split: split.kind = ..."
        raise ConfigError(f"there are no different {between} to search between; {need}")
    differing = apart(keys)
    if base is None:
        return differing
    return lambda first, second: differing(first, second) & base(first, second)
