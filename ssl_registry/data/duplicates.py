"""Near-duplicate images: found by the correlation of small thumbnails, gathered in clusters.

A split that separates near-duplicates leaks test images into training; `make_split` keeps the
clusters found here together.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ssl_registry.data.reading import read_image
from ssl_registry.errors import DataError
from ssl_registry.interfaces.dataset import Dataset, Image, Sample

SIDE = 32
"""Side of a thumbnail, px."""

THRESHOLD = 0.99
"""Correlation above which two images count as near-duplicates."""

Thumbnails = NDArray[np.float32]
_Indices = NDArray[np.intp]
_BLOCK = 2048
_CHUNK = 4096
_DOUBT = 1e-4


class DuplicatePair(NamedTuple):
    """Two near-duplicate images, in the order of the ids, and their correlation."""

    first: str
    second: str
    score: float


def thumbnails(images: Iterable[Image]) -> Thumbnails:
    """Gray thumbnails of uint8 images `[H, W]` or `[H, W, 3]`: float32 `[N, 32 * 32]`, 0 to 255.

    Images are averaged over boxes, so that noise and compression weigh little.
    """
    rows = [_thumbnail(image) for image in images]
    return np.stack(rows) if rows else np.empty((0, SIDE * SIDE), np.float32)


def near_duplicate_clusters(
    thumbnails: Thumbnails, ids: Sequence[str], threshold: float = THRESHOLD, flips: bool = True
) -> dict[str, str]:
    """Gather images that are linked, directly or through others, by a correlation above a value.

    Memory is bounded: the correlations are computed block by block and never kept.

    Args:
        thumbnails: float32 `[N, 32 * 32]`, from `thumbnails`.
        ids: The N ids.
        threshold: Two images are linked if their normalised correlation is above this, in (0, 1).
        flips: Whether an image is also compared with the other's mirror image (left to right).

    Returns:
        Id to the name of its cluster, which is the first id in it. An image without contrast
        has no correlation and stands alone.

    Raises:
        ValueError: The lengths differ or the threshold is out of range.
    """
    label: _Indices = np.arange(len(ids))
    for first, second, _ in _linked(thumbnails, ids, threshold, flips):
        links = coo_array((np.ones(len(first)), (label[first], label[second])), (len(ids),) * 2)
        _, merged = connected_components(links, directed=False)
        label = merged[label].astype(np.intp)
    name_of: dict[int, str] = {}
    return {
        name: name_of.setdefault(cluster, name)
        for name, cluster in zip(ids, label.tolist(), strict=True)
    }


def near_duplicate_pairs(
    thumbnails: Thumbnails, ids: Sequence[str], threshold: float = THRESHOLD, flips: bool = True
) -> list[DuplicatePair]:
    """All pairs with a correlation above a value, sorted by place; see `near_duplicate_clusters`.

    Unlike the clusters, the list grows with the square of the number of alike images.
    """
    found = [
        (i, j, score)
        for block in _linked(thumbnails, ids, threshold, flips)
        for i, j, score in zip(*(part.tolist() for part in block), strict=True)
    ]
    return [DuplicatePair(ids[i], ids[j], score) for i, j, score in sorted(found)]


def dataset_clusters(
    dataset: Dataset,
    samples: Sequence[Sample],
    threshold: float = THRESHOLD,
    flips: bool = True,
    threads: int | None = None,
) -> dict[str, str]:
    """Near-duplicate clusters of a dataset's samples: sample id to cluster name.

    Args:
        dataset: Reads the images, in several threads.
        samples: The samples to compare.
        threshold: See `near_duplicate_clusters`.
        flips: See `near_duplicate_clusters`.
        threads: How many threads read; default: Python's own choice.

    Raises:
        DataError: An image cannot be read, unless the dataset skips those; then it stands alone.
    """

    def read(sample: Sample) -> Thumbnails:
        try:
            return _thumbnail(read_image(dataset, sample))
        except DataError:
            if not dataset.config.skip_unreadable:
                raise
            return np.zeros(SIDE * SIDE, np.float32)

    with ThreadPoolExecutor(threads) as pool:
        rows = list(pool.map(read, samples))
    found = np.stack(rows) if rows else np.empty((0, SIDE * SIDE), np.float32)
    return near_duplicate_clusters(found, [sample.id for sample in samples], threshold, flips)


def _thumbnail(image: Image) -> Thumbnails:
    small = (
        PillowImage.fromarray(image).convert("L").resize((SIDE, SIDE), PillowImage.Resampling.BOX)
    )
    return np.asarray(small, np.float32).reshape(-1)


def _linked(
    thumbnails: Thumbnails, ids: Sequence[str], threshold: float, flips: bool
) -> Iterator[tuple[_Indices, _Indices, NDArray[np.float64]]]:
    """First and second index (first < second) and score of the linked pairs, block by block."""
    if thumbnails.shape != (len(ids), SIDE * SIDE):
        raise ValueError(
            f"{len(ids)} ids need thumbnails of shape {(len(ids), SIDE * SIDE)}, "
            f"not {thumbnails.shape}"
        )
    if not 0 < threshold < 1:
        raise ValueError(f"threshold is {threshold}; it must be above 0 and below 1")
    unit = _normalised(thumbnails)
    starts = range(0, len(ids), _BLOCK)
    for i, j in itertools.combinations_with_replacement(starts, 2):
        scores = _correlations(unit[i : i + _BLOCK], unit[j : j + _BLOCK], flips)
        near = scores > threshold - _DOUBT
        row, column = np.nonzero(np.triu(near, 1) if i == j else near)
        exact = scores[row, column].astype(np.float64)
        first, second = row + i, column + j
        _settle(exact, unit, first, second, threshold, flips)
        kept = exact > threshold
        if kept.any():
            yield first[kept], second[kept], exact[kept]


def _normalised(thumbnails: Thumbnails) -> Thumbnails:
    """Rows of zero mean and unit length; rows without contrast are zero."""
    unit: Thumbnails = thumbnails - thumbnails.mean(axis=1, keepdims=True)
    length = np.linalg.norm(unit, axis=1)
    # One pixel off by one gray level gives a length of 1; rounding of the mean far less.
    flat = length < 0.1
    unit[flat] = 0
    unit /= np.where(flat, 1, length)[:, np.newaxis]
    return unit


def _mirrored(unit: Thumbnails) -> Thumbnails:
    return unit.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(unit.shape)


def _correlations(rows: Thumbnails, columns: Thumbnails, flips: bool) -> Thumbnails:
    """Correlations `[R, C]`; with `flips` the greater of an image's and its mirror image's."""
    scores: Thumbnails = rows @ columns.T
    if flips:
        np.maximum(scores, _mirrored(rows) @ columns.T, out=scores)
    return scores


def _settle(
    scores: NDArray[np.float64],
    unit: Thumbnails,
    first: _Indices,
    second: _Indices,
    threshold: float,
    flips: bool,
) -> None:
    """Work out the scores near the threshold again, in double precision, in place.

    Single precision depends on the machine, and a split must not.
    """
    doubtful = np.flatnonzero(np.abs(scores - threshold) < _DOUBT)
    for start in range(0, len(doubtful), _CHUNK):
        chunk = doubtful[start : start + _CHUNK]
        one = unit[first[chunk]].astype(np.float64)
        other = unit[second[chunk]].astype(np.float64)
        scores[chunk] = np.einsum("nd,nd->n", one, other)
        if flips:
            mirrored = _mirrored(unit[first[chunk]]).astype(np.float64)
            scores[chunk] = np.maximum(scores[chunk], np.einsum("nd,nd->n", mirrored, other))
