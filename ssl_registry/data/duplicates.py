"""Near-duplicate images: found in one dataset or across several, and gathered in clusters.

Two images are duplicates if they show the same scan: the same picture, saved again, brightened,
annotated, cropped, moved or mirrored, or a neighbouring frame of the same recording. A hash
finds the pairs that may be (see `similarity`), a close comparison of their speckle decides (see
`registration`). A split that separates duplicates leaks test images into training; `make_split`
keeps the clusters found here together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ssl_registry.data.registration import Detail, Gray, match
from ssl_registry.data.similarity import (
    ORIENTATIONS,
    Candidates,
    Keep,
    Orientation,
    Places,
    alike,
    oriented,
)
from ssl_registry.data.thumbnails import Thumbnails, dataset_thumbnails, read_detail
from ssl_registry.interfaces.dataset import Dataset, Sample
from ssl_registry.progress import track

Kind = Literal["identical", "copy", "cropped", "frame"]

THRESHOLDS: Mapping[int, float] = {128: 0.27, 64: 0.6, 32: 0.8}
"""Score from which a pair counts as duplicates, by the side (px) at which it was compared.

Small images have no speckle: what is left in them is shared by different scans as well.
"""

_SAME_FRAME: Mapping[int, float] = {128: 0.6, 64: 0.8, 32: 0.9}
"""Score from which both are taken for the same frame."""
_MOVED = 1 / 40
"""Displacement, as a share of the side, from which a copy counts as cropped."""
_TITLE = "comparing alike images"
_TILE = 128
"""Pairs are compared in tiles of so many images squared, which are held in memory."""


@dataclass(frozen=True)
class DuplicatePair:
    """Two near-duplicate images.

    Attributes:
        first: Place of the one that comes first.
        second: Place of the other.
        score: Correlation of their local contrast after alignment, up to 1.
        likeness: Correlation of their hashes.
        orientation: How the first must be turned to resemble the second.
        kind: `identical`: the same gray pixels at the side of comparison; `copy`: the same frame,
            saved again, brightened or annotated; `cropped`: the same frame, moved, stretched or
            cut; `frame`: a neighbouring frame of the same recording, or a strongly altered copy.
    """

    first: int
    second: int
    score: float
    likeness: float
    orientation: Orientation
    kind: Kind

    @property
    def relation(self) -> str:
        """Kind and orientation in words, such as `cropped, mirrored`."""
        return self.kind if self.orientation == "upright" else f"{self.kind}, {self.orientation}"


def find_duplicates(
    thumbnails: Thumbnails,
    read: Callable[[int], Gray],
    *,
    keep: Keep | None = None,
    threshold: float | None = None,
    flips: bool = True,
    crops: bool = True,
    limit: int | None = None,
    show: bool = False,
) -> list[DuplicatePair]:
    """All pairs of duplicates among N images, the surest first.

    Args:
        thumbnails: uint8 `[N, 32, 32]`.
        read: Gives the gray square `[S, S]` of an image, S one of `DETAIL_SIDES`; called for
            the images of pairs that look alike, some of them several times.
        keep: Tells for first and second places `[P]` which pairs are of interest; default: all.
        threshold: Least score of a pair, above -1 and below 1; default: that of its side.
        flips: Whether mirrored and turned copies are looked for.
        crops: Whether cropped copies are looked for with more care.
        limit: At most so many pairs are compared closely, those that look most alike.
        show: Whether the progress of the close comparisons is shown.

    Raises:
        ValueError: The threshold is out of range.
    """
    if threshold is not None and not -1 < threshold < 1:
        raise ValueError(f"threshold is {threshold}; it must be above -1 and below 1")
    candidates = _most_alike(alike(thumbnails, keep, flips=flips, crops=crops), limit)
    total = len(candidates.first)
    found = []
    with track(_TITLE, total, unit="pair") if show else nullcontext() as bar:
        for side, pair in _compared(candidates, read):
            if pair.score >= (THRESHOLDS[side] if threshold is None else threshold):
                found.append(pair)
            if bar is not None:
                bar.advance()
    return sorted(found, key=lambda pair: (-round(pair.score, 6), pair.first, pair.second))


def clusters(count: int, links: Iterable[tuple[int, int]]) -> list[int]:
    """Gather `count` images that are linked, directly or through others.

    Returns:
        For each image the first place of its cluster.
    """
    pairs = np.asarray(list(links), dtype=np.intp).reshape(-1, 2)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (count, count))
    _, labels = connected_components(graph, directed=False)
    _, first = np.unique(labels, return_index=True)
    return [int(place) for place in first[labels]] if count else []


def apart(groups: Sequence[str | None]) -> Keep:
    """Keeps pairs of images that are not of one group (patient, recording)."""
    codes = {group: code for code, group in enumerate(dict.fromkeys(groups))}
    # Images without a group are each on their own.
    numbers = np.asarray(
        [-1 - place if group is None else codes[group] for place, group in enumerate(groups)],
        dtype=np.intp,
    )

    def keep(first: Places, second: Places) -> NDArray[np.bool_]:
        different: NDArray[np.bool_] = numbers[first] != numbers[second]
        return different

    return keep


def dataset_clusters(
    dataset: Dataset, samples: Sequence[Sample], threads: int | None = None
) -> dict[str, str]:
    """Clusters of a dataset's samples that must not be separated: sample id to cluster name.

    A cluster holds duplicates, and samples of one group (patient, recording), directly or
    through others. Its name is the first id in it.

    Args:
        dataset: Reads the images, in several threads.
        samples: The samples to compare.
        threads: How many threads read; default: Python's own choice.

    Raises:
        DataError: An image cannot be read, unless the dataset skips those; then it stands alone.
    """
    groups = [sample.group for sample in samples]
    found = find_duplicates(
        dataset_thumbnails(dataset, samples, threads),
        lambda place: read_detail(dataset, samples[place]),
        keep=apart(groups),
        show=True,
    )
    links = [(pair.first, pair.second) for pair in found]
    first_of: dict[str, int] = {}
    for place, group in enumerate(groups):
        if group is not None:
            links.append((first_of.setdefault(group, place), place))
    places = clusters(len(samples), links)
    return {s.id: samples[first].id for s, first in zip(samples, places, strict=True)}


def _most_alike(candidates: Candidates, limit: int | None) -> Candidates:
    if limit is None or len(candidates.first) <= limit:
        return candidates
    return candidates.chosen(np.sort(np.argsort(-candidates.likeness, kind="stable")[:limit]))


def _compared(
    candidates: Candidates, read: Callable[[int], Gray]
) -> Iterator[tuple[int, DuplicatePair]]:
    """The side of comparison and the result for each candidate, tile by tile."""

    @lru_cache(maxsize=2 * _TILE)
    def gray(place: int) -> Gray:
        return read(place)

    @lru_cache(maxsize=2 * _TILE)
    def detail(place: int, side: int) -> Detail:
        return Detail(_halved(gray(place), side))

    order = np.lexsort((candidates.first, candidates.second // _TILE, candidates.first // _TILE))
    for first, second, likeness, turn in zip(
        *(part[order].tolist() for part in candidates), strict=True
    ):
        side = min(len(gray(first)), len(gray(second)))
        one, other = detail(first, side), detail(second, side)
        orientation = ORIENTATIONS[turn]
        if orientation != "upright":
            one = Detail(oriented(one.gray, orientation))
        result = match(one, other)
        same = bool(np.array_equal(one.gray, other.gray))
        kind = _kind(result.score, result.moved, side, same)
        yield (
            side,
            DuplicatePair(first, second, float(result.score), likeness, orientation, kind),
        )


def _halved(gray: Gray, side: int) -> Gray:
    """A square `[S, S]` averaged to a smaller side that divides it."""
    factor = len(gray) // side
    if factor == 1:
        return gray
    boxes = gray.reshape(side, factor, side, factor).mean(axis=(1, 3))
    smaller: Gray = boxes.round().astype(np.uint8)
    return smaller


def _kind(score: float, moved: float, side: int, same: bool) -> Kind:
    if same:
        return "identical"
    if score < _SAME_FRAME[side]:
        return "frame"
    return "cropped" if moved >= _MOVED else "copy"
