"""Close comparison of two images: one is laid over the other, then their speckle is correlated.

Blocks of one image are searched for in the other. If their displacements agree with a shift and
a scale along each axis, as those of a cropped, moved or stretched copy do, the second image is
resampled accordingly and its local contrast compared with that of the first.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2

from ssl_registry.data.local_contrast import (
    Contrast,
    Floats,
    local_contrast,
    weighted_correlation,
)

Gray = NDArray[np.uint8]
Spectra = NDArray[np.complex64]

SIGMA = 2.0
"""Scale of the compared detail, px."""

_BLOCKS = 5
"""Blocks along each axis; each is a quarter of the side wide."""
_SEEDS = 8
"""So many of the best blocks propose alignments, two by two."""
_LEAST_SHARE = 0.2
"""Share of the blocks that must agree on an alignment."""
_GREATEST_SCALE = 0.15
"""Relative change of size along an axis that is still looked for."""
_LEAST_POWER = 0.15
"""Mean square of the local contrast from which a block has detail; about 0.7 is usual."""
_CERTAIN = 0.95
"""A correlation that no alignment would better by much."""


class Detail:
    """A gray square `[S, S]`, prepared for being laid over others.

    Spectra are kept, because an image is often compared with several others.

    Attributes:
        gray: The square, uint8.
        side: S, in pixels.
        contrast: Its local contrast.
        corners: Rows and columns of the upper left corners of its blocks, `[B, 2]`.
    """

    def __init__(self, gray: Gray) -> None:
        self.gray, self.side = gray, len(gray)
        self.contrast = local_contrast(gray, SIGMA)
        starts = np.linspace(0, self.side - self.block, _BLOCKS).round().astype(int)
        self.corners = np.array(list(itertools.product(starts, starts)))

    @property
    def block(self) -> int:
        """Side of a block, px."""
        return self.side // 4

    @property
    def reach(self) -> int:
        """Greatest shift of a block along an axis, px."""
        return self.side // 8

    @property
    def _window(self) -> int:
        return self.block + 2 * self.reach

    @cached_property
    def blocks(self) -> tuple[Spectra, Floats]:
        """Spectra of the blocks and their sums of squares `[B]`."""
        values, width = self.contrast.values.astype(np.float32), self.block
        blocks = np.stack([values[y : y + width, x : x + width] for y, x in self.corners])
        size = (self._window, self._window)
        return np.conj(rfft2(blocks, size)), (blocks.astype(np.float64) ** 2).sum(axis=(1, 2))

    @cached_property
    def windows(self) -> tuple[Spectra, Floats]:
        """Spectra of the blocks' surroundings, and the sum of squares at each shift `[B, R, R]`."""
        values = np.pad(self.contrast.values.astype(np.float32), self.reach)
        width, shifts = self._window, 2 * self.reach + 1
        windows = np.stack([values[y : y + width, x : x + width] for y, x in self.corners])
        sums = _box_sums(values.astype(np.float64) ** 2, self.block)
        powers = np.stack([sums[y : y + shifts, x : x + shifts] for y, x in self.corners])
        return rfft2(windows), powers


@dataclass(frozen=True)
class Match:
    """What a close comparison found.

    Attributes:
        score: Correlation of the local contrast after alignment, -1 to 1.
        moved: Greatest displacement in the square, as a share of its side; 0 if none was needed.
    """

    score: float
    moved: float


def match(first: Detail, second: Detail) -> Match:
    """Align `second` with `first`, both `[S, S]` of one side, and correlate their detail."""
    unmoved = Match(weighted_correlation(first.contrast, second.contrast), 0.0)
    if unmoved.score > _CERTAIN:
        return unmoved
    alignment = _alignment(first, second)
    if alignment is None:
        return unmoved
    scale, offset = alignment
    score = weighted_correlation(first.contrast, _resampled(second.gray, scale, offset))
    ends = np.abs(np.stack([offset, scale * (first.side - 1) + offset]))
    moved = Match(score, float(ends.max()) / first.side)
    return max(unmoved, moved, key=lambda found: found.score)


def _alignment(first: Detail, second: Detail) -> tuple[Floats, Floats] | None:
    """Scale and offset `[2]` such that the displacement at `p` is `scale * p + offset`."""
    centers, shifts, scores = _block_shifts(first, second)
    tolerance = max(1.5, first.side / 64)
    best = np.argsort(-scores, kind="stable")[:_SEEDS]
    one, other = np.array(list(itertools.combinations(best, 2))).T
    apart = centers[other] - centers[one]
    far = np.abs(apart) > first.side / 6
    scale = np.where(far, (shifts[other] - shifts[one]) / np.where(far, apart, 1), 0.0)
    scale[np.abs(scale) > _GREATEST_SCALE] = 0
    offset = shifts[one] - scale * centers[one]
    expected = scale[:, None] * centers + offset[:, None]
    agreeing = (np.abs(expected - shifts) <= tolerance).all(axis=2)
    votes = agreeing @ scores
    chosen = agreeing[votes.argmax()] & (scores > 0)
    if chosen.sum() < _LEAST_SHARE * len(centers):
        return None
    lines = [_line(centers[chosen, a], shifts[chosen, a], scores[chosen]) for a in (0, 1)]
    return np.array([line[0] for line in lines]), np.array([line[1] for line in lines])


def _line(places: Floats, shifts: Floats, weights: Floats) -> tuple[float, float]:
    """Slope and intercept of the weighted least-squares line; level if there is no spread."""
    place, shift = np.average(places, weights=weights), np.average(shifts, weights=weights)
    spread = np.average((places - place) ** 2, weights=weights)
    slope = 0.0
    if spread > 1:
        slope = np.average((places - place) * (shifts - shift), weights=weights) / spread
    slope = float(np.clip(slope, -_GREATEST_SCALE, _GREATEST_SCALE))
    return slope, float(shift - slope * place)


def _block_shifts(first: Detail, second: Detail) -> tuple[Floats, Floats, Floats]:
    """For each block of `first`: its center, the best shift to `second`, their correlation.

    Shapes `[B, 2]`, `[B, 2]`, `[B]`. Shifts of up to an eighth of the side are searched, with
    the normalised cross-correlation; a block without detail scores 0.
    """
    (blocks, power), (windows, powers) = first.blocks, second.windows
    shifts = powers.shape[1:]
    size = (first.block + 2 * first.reach,) * 2
    products = irfft2(windows * blocks, size)[:, : shifts[0], : shifts[1]]
    # A share of the usual detail must be there, else a match means little.
    least = _LEAST_POWER * first.block**2
    enough = (powers > least) & (power > least)[:, None, None]
    scores = np.where(enough, products / np.sqrt(np.maximum(powers * power[:, None, None], 1)), 0)
    flat = scores.reshape(len(scores), -1)
    place = np.stack(np.unravel_index(flat.argmax(axis=1), shifts), axis=1) - first.reach
    centers = first.corners + (first.block - 1) / 2
    return centers, place.astype(np.float64), np.maximum(flat.max(axis=1), 0)


def _box_sums(values: Floats, width: int) -> Floats:
    """Sums over all boxes of `width` squared pixels: `[S, S]` to `[S - width + 1, ...]`."""
    total = np.pad(values, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    rows = total[width:] - total[:-width]
    sums: Floats = np.maximum(rows[:, width:] - rows[:, :-width], 0)
    return sums


def _resampled(gray: Gray, scale: Floats, offset: Floats) -> Contrast:
    """Contrast of the image seen through an alignment; no weight where it was not seen."""
    side = len(gray)
    grid = np.arange(side)
    rows, columns = ((1 + scale[a]) * grid + offset[a] for a in (0, 1))
    moved = _interpolation(rows, side) @ gray.astype(np.float64) @ _interpolation(columns, side).T
    contrast = local_contrast(moved, SIGMA)
    seen = [((at >= 1) & (at <= side - 2)).astype(np.float64) for at in (rows, columns)]
    return Contrast(contrast.values, contrast.weight * np.outer(*seen))


def _interpolation(places: Floats, side: int) -> Floats:
    """Matrix `[S, S]` that reads a line of pixels at `places`, linearly between neighbours."""
    distance = np.abs(np.clip(places, 0, side - 1)[:, None] - np.arange(side))
    weights: Floats = np.maximum(1 - distance, 0)
    return weights
