"""Pairs of images that may be duplicates: all pairs are compared by a perceptual hash.

The hash of an image is the local contrast of its 16x16 thumbnail, kept as 256 real numbers
instead of bits: two hashes are compared by their correlation. It is blind to brightness,
contrast and compression; mirrored and cropped copies are found by hashing these as well. What
all images of a collection share, such as the shape of the fan or of the heart, is taken off.

The search is exact and blockwise: its time grows with the square of the number of images, its
memory does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ssl_registry.data.local_contrast import Floats, local_contrast
from ssl_registry.data.thumbnails import SIDE, Thumbnails

Orientation = Literal["upright", "mirrored", "upside down", "turned"]
ORIENTATIONS: tuple[Orientation, ...] = ("upright", "mirrored", "upside down", "turned")
"""How one image must be turned to resemble the other; `turned` is by 180 degrees."""

Places = NDArray[np.intp]
Hashes = NDArray[np.float32]
Number = TypeVar("Number", bound=np.number)
Keep = Callable[[Places, Places], NDArray[np.bool_]]

HASH_SIDE = 16
ALIKE = 0.5
"""Correlation of two hashes above which a pair is worth a close comparison."""
ALIKE_CROPPED = 0.65
"""The same where one of the images was cropped for it; there are many more such trials."""

_SIGMA = 1.5
_BLOCK = 4096
_DOUBT = 1e-4
_USUAL = 50
"""With so many images, half of what they share is taken off; with a few, next to nothing."""
_CROPS = (
    ((0.05, 0.95), (0.05, 0.95)),
    ((0.1, 1.0), (0.0, 1.0)),
    ((0.0, 0.9), (0.0, 1.0)),
    ((0.0, 1.0), (0.1, 1.0)),
    ((0.0, 1.0), (0.0, 0.9)),
)
"""Rows and columns, as shares of the image, of the crops that are tried."""


class Candidates(NamedTuple):
    """Pairs of places (first < second), sorted, with their likeness and orientation.

    All of shape `[P]`; `orientation` is a place in `ORIENTATIONS`, `likeness` the correlation of
    the hashes.
    """

    first: Places
    second: Places
    likeness: NDArray[np.float64]
    orientation: NDArray[np.int8]

    def chosen(self, places: Places) -> Candidates:
        """The pairs at these places of the list."""
        return Candidates(
            self.first[places],
            self.second[places],
            self.likeness[places],
            self.orientation[places],
        )


def oriented(image: NDArray[Number], orientation: Orientation) -> NDArray[Number]:
    """An image `[..., H, W]` mirrored left to right, turned upside down, or both."""
    rows = -1 if orientation in ("upside down", "turned") else 1
    columns = -1 if orientation in ("mirrored", "turned") else 1
    return image[..., ::rows, ::columns]


def alike(
    thumbnails: Thumbnails, keep: Keep | None = None, *, flips: bool = True, crops: bool = True
) -> Candidates:
    """All pairs of images whose hashes are alike.

    Args:
        thumbnails: uint8 `[N, 32, 32]`.
        keep: Tells for first and second places `[P]` which pairs are of interest; default: all.
        flips: Whether an image is also compared with the other's flipped copies.
        crops: Whether it is also compared with crops of the other, a tenth smaller.
    """
    plain = _hashes(thumbnails, _scaled((0.0, 1.0)), _scaled((0.0, 1.0)))
    shared = plain.mean(axis=0) * (len(plain) / (len(plain) + _USUAL)) if len(plain) else 0.0
    found = [_nothing()]
    base = _unit(plain - shared)
    for number, orientation in enumerate(ORIENTATIONS if flips else ORIENTATIONS[:1]):
        turned = oriented(plain.reshape(-1, HASH_SIDE, HASH_SIDE), orientation)
        other = _unit(turned.reshape(plain.shape) - shared)
        found += _search(other, base, ALIKE, number, keep, symmetric=True)
    for rows, columns in _CROPS if crops else ():
        other = _unit(_hashes(thumbnails, _scaled(rows), _scaled(columns)) - shared)
        found += _search(other, base, ALIKE_CROPPED, 0, keep, symmetric=False)
    return _best(found)


def _scaled(interval: tuple[float, float]) -> Floats:
    """Matrix `[16, 32]` that averages a line of a thumbnail, cut to an interval, to 16 boxes."""
    edges = np.linspace(interval[0] * SIDE, interval[1] * SIDE, HASH_SIDE + 1)
    pixels = np.arange(SIDE)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights: Floats = np.maximum(overlap, 0) / (edges[1] - edges[0])
    return weights


def _hashes(thumbnails: Thumbnails, rows: Floats, columns: Floats) -> Hashes:
    """The hashes `[N, 256]` of thumbnails after shrinking them by two matrices."""
    found = np.empty((len(thumbnails), HASH_SIDE * HASH_SIDE), np.float32)
    for start in range(0, len(thumbnails), _BLOCK):
        chunk = thumbnails[start : start + _BLOCK].astype(np.float64)
        contrast = local_contrast(rows @ chunk @ columns.T, _SIGMA)
        found[start : start + _BLOCK] = contrast.values.reshape(len(chunk), -1)
    return found


def _unit(hashes: Hashes) -> Hashes:
    """Rows of unit length; rows without contrast are zero."""
    length = np.linalg.norm(hashes, axis=1, keepdims=True)
    unit: Hashes = np.where(length > 1e-3, hashes / np.maximum(length, 1e-3), 0).astype(np.float32)
    return unit


def _search(
    rows: Hashes,
    columns: Hashes,
    threshold: float,
    orientation: int,
    keep: Keep | None,
    *,
    symmetric: bool,
) -> Iterator[Candidates]:
    """The pairs whose correlation is above the threshold, block by block.

    A symmetric search looks at each pair once, the other at both orders.
    """
    for i in range(0, len(rows), _BLOCK):
        for j in range(i if symmetric else 0, len(columns), _BLOCK):
            scores = rows[i : i + _BLOCK] @ columns[j : j + _BLOCK].T
            row, column = np.nonzero(scores > threshold - _DOUBT)
            first, second = row + i, column + j
            wanted = first < second if symmetric else first != second
            first, second = first[wanted], second[wanted]
            likeness = _settled(
                scores[row[wanted], column[wanted]], rows, columns, first, second, threshold
            )
            kept = likeness > threshold
            if keep is not None:
                kept &= keep(np.minimum(first, second), np.maximum(first, second))
            if kept.any():
                low = np.minimum(first, second)[kept]
                high = np.maximum(first, second)[kept]
                turns = np.full(len(low), orientation, np.int8)
                yield Candidates(low, high, likeness[kept], turns)


def _settled(
    scores: NDArray[np.float32],
    rows: Hashes,
    columns: Hashes,
    first: Places,
    second: Places,
    threshold: float,
) -> NDArray[np.float64]:
    """The scores, those near the threshold worked out again in double precision.

    Single precision depends on the machine, and a split must not.
    """
    exact = scores.astype(np.float64)
    doubtful = np.flatnonzero(np.abs(exact - threshold) < _DOUBT)
    for start in range(0, len(doubtful), _BLOCK):
        chunk = doubtful[start : start + _BLOCK]
        one = rows[first[chunk]].astype(np.float64)
        exact[chunk] = np.einsum("nd,nd->n", one, columns[second[chunk]].astype(np.float64))
    return exact


def _best(found: list[Candidates]) -> Candidates:
    """Each pair once, with its greatest likeness, sorted by place."""
    every = Candidates(
        np.concatenate([part.first for part in found]),
        np.concatenate([part.second for part in found]),
        np.concatenate([part.likeness for part in found]),
        np.concatenate([part.orientation for part in found]),
    )
    order = np.lexsort((every.orientation, -every.likeness, every.second, every.first))
    ordered = every.chosen(order)
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(ordered.first) != 0) | (np.diff(ordered.second) != 0)
    return ordered.chosen(np.flatnonzero(new))


def _nothing() -> Candidates:
    none = np.empty(0, np.intp)
    return Candidates(none, none, np.empty(0, np.float64), np.empty(0, np.int8))
