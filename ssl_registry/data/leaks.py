"""The leak guard: training images of which a near-duplicate is in the validation or test part.

It works on cached pixels at the size of training, so that a run starts no later for it.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ssl_registry.config.split import PARTS, Part
from ssl_registry.data.choice import some
from ssl_registry.data.duplicates import DuplicatePair, find_duplicates
from ssl_registry.data.similarity import Keep, Places
from ssl_registry.data.splits import split_digest
from ssl_registry.data.thumbnails import (
    SIDE,
    dataset_thumbnails,
    gray_detail,
    read_detail,
    thumbnails,
)
from ssl_registry.interfaces.dataset import Dataset, Image, Sample
from ssl_registry.kept import kept
from ssl_registry.progress import track

if TYPE_CHECKING:
    from ssl_registry.data.load import LoadedData

CLOSE_COMPARISONS = 1000
"""At most so many pairs are compared closely, those that look most alike."""


class LeakWarning(UserWarning):
    """Training and evaluation share images, or groups of images."""


@dataclass(frozen=True)
class Leak:
    """A training image and its near-duplicate in another part.

    Attributes:
        train: Id of the training image.
        other: Id of its near-duplicate.
        part: The part of the other.
        score: See `DuplicatePair`.
        relation: See `DuplicatePair`.
    """

    train: str
    other: str
    part: Part
    score: float
    relation: str

    def __str__(self) -> str:
        return f"{self.other} ~ {self.train} ({self.relation}, {self.score:.2f})"


@dataclass(frozen=True)
class LeakReport:
    """What a dataset's split leaks from training into evaluation.

    Attributes:
        dataset: Name of the dataset.
        leaks: The pairs, the surest first.
        sizes: Images in val and test.
        groups: For val and test, the groups (patients, recordings) that training has as well.
    """

    dataset: str
    leaks: tuple[Leak, ...]
    sizes: Mapping[Part, int]
    groups: Mapping[Part, tuple[str, ...]]

    def __bool__(self) -> bool:
        return bool(self.leaks) or any(self.groups.values())

    def leaked(self, part: Part) -> list[str]:
        """Ids of the images of `part` that have a near-duplicate in training, surest first."""
        return list(dict.fromkeys(leak.other for leak in self.leaks if leak.part == part))

    def lines(self, limit: int = 5) -> list[str]:
        """What a person should know, a sentence each, which names at most `limit` images."""
        found = []
        for part in PARTS[1:]:
            ids = self.leaked(part)
            if ids:
                surest = {leak.other: leak for leak in reversed(self.leaks)}
                named = [str(surest[name]) for name in ids]
                found.append(
                    f"{self.dataset}: {len(ids)} of {self.sizes[part]} {part} images have "
                    f"near-duplicates among the training images: {some(named, limit)}; "
                    'set split.group_by = "duplicates" to keep them together'
                )
            shared = self.groups.get(part, ())
            if shared:
                found.append(
                    f"{self.dataset}: {len(shared)} groups (patients, recordings) have images in "
                    f"train and in {part}: {some(shared, limit)}; "
                    'set split.group_by = "group" to keep them together'
                )
        return found


def find_leaks(data: LoadedData) -> LeakReport:
    """Look for near-duplicates of training images in the other parts of loaded data.

    It compares the cached pixels and stays fast: at most `CLOSE_COMPARISONS` pairs are looked at
    closely. Images below 32 px show too little to be compared.
    """
    cache = data.cache
    key = (cache.fingerprint, split_digest(data.parts), cache.images.shape[-1])
    return kept("leaks", key, lambda: _find_leaks(data))


def _find_leaks(data: LoadedData) -> LeakReport:
    used = data.places(PARTS)
    samples = [data.samples[place] for place in used]
    parts = [data.parts[sample.id] for sample in samples]

    def picture(number: int) -> Image:
        return _picture(data.cache.images[used[number]])

    found: list[DuplicatePair] = []
    if data.cache.images.shape[-1] >= SIDE:
        found = find_duplicates(
            thumbnails(map(picture, range(len(used)))),
            lambda number: gray_detail(picture(number)),
            keep=_straddling(parts),
            crops=False,
            limit=CLOSE_COMPARISONS,
        )
    return _report(data.dataset.config.name, samples, parts, found)


def dataset_leaks(
    dataset: Dataset, samples: Sequence[Sample], split: Mapping[str, Part]
) -> LeakReport:
    """Look for near-duplicates of training images in the other parts of a split, thoroughly.

    It reads the images themselves and shows its progress.

    Raises:
        DataError: An image cannot be read, unless the dataset skips those.
    """
    parts = [split[sample.id] for sample in samples]
    with track("reading images", len(samples), unit="image") as bar:
        thumbs = dataset_thumbnails(dataset, samples, advance=bar.advance)
    found = find_duplicates(
        thumbs,
        lambda place: read_detail(dataset, samples[place]),
        keep=_straddling(parts),
        show=True,
    )
    return _report(dataset.config.name, samples, parts, found)


def _report(
    name: str, samples: Sequence[Sample], parts: Sequence[Part], found: Sequence[DuplicatePair]
) -> LeakReport:
    leaks = []
    for pair in found:
        train, other = pair.first, pair.second
        if parts[train] != "train":
            train, other = other, train
        leaks.append(
            Leak(samples[train].id, samples[other].id, parts[other], pair.score, pair.relation)
        )
    sizes = {part: parts.count(part) for part in PARTS[1:]}
    return LeakReport(name, tuple(leaks), sizes, _shared_groups(samples, parts))


def warn_of_leaks(lines: Iterable[str]) -> None:
    """Issue a `LeakWarning` for each sentence."""
    for line in lines:
        warnings.warn(line, LeakWarning, stacklevel=2)


def _picture(stored: NDArray[np.uint8]) -> Image:
    """A cached image `[C, H, W]` as `[H, W]` or `[H, W, 3]`."""
    return stored[0] if len(stored) == 1 else np.ascontiguousarray(np.moveaxis(stored, 0, -1))


def _straddling(parts: Sequence[Part]) -> Keep:
    training = np.asarray([part == "train" for part in parts], dtype=bool)

    def keep(first: Places, second: Places) -> NDArray[np.bool_]:
        different: NDArray[np.bool_] = training[first] != training[second]
        return different

    return keep


def _shared_groups(samples: Sequence[Sample], parts: Sequence[Part]) -> dict[Part, tuple[str, ...]]:
    groups: defaultdict[Part, dict[str, None]] = defaultdict(dict)
    for sample, part in zip(samples, parts, strict=True):
        if sample.group is not None:
            groups[part][sample.group] = None
    return {
        part: tuple(group for group in groups[part] if group in groups["train"])
        for part in PARTS[1:]
    }
