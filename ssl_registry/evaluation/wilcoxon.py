"""Wilcoxon's signed-rank test of paired differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

EXACT: Final = 50
"""Up to so many differences that are not zero, all their signs are counted."""
_DECIMALS: Final = 12
"""Differences of means that are equal on paper differ in their last bits."""


@dataclass(frozen=True)
class SignedRank:
    """What the test found.

    Attributes:
        statistic: The smaller of the sums of the ranks of positive and of negative differences.
        p: Two-sided p-value; 1 where all differences are zero, NaN where there is none.
        pairs: How many differences are not zero; the others are left out, as Wilcoxon did.
        median: Median of all differences, zeros among them.
    """

    statistic: float
    p: float
    pairs: int
    median: float


def signed_rank(differences: Sequence[float] | NDArray[np.float64]) -> SignedRank:
    """Test whether paired differences lie around zero (Wilcoxon 1945).

    The p-value is exact for at most `EXACT` pairs, also where absolute differences are equal;
    beyond, it is that of the normal approximation with the correction for equal ranks and none
    for continuity.
    """
    values = np.asarray(differences, dtype=np.float64)
    if not len(values) or np.isnan(values).any():
        return SignedRank(math.nan, math.nan, 0, math.nan)
    rounded = values.round(_DECIMALS)
    kept = rounded[rounded != 0]
    median = float(np.median(values))
    if not len(kept):
        return SignedRank(0.0, 1.0, 0, median)
    ranks, counts = _midranks(np.abs(kept))
    positive = float(ranks[kept > 0].sum())
    statistic = min(positive, float(ranks.sum()) - positive)
    p = _exact(ranks, statistic) if len(kept) <= EXACT else _normal(len(kept), counts, statistic)
    return SignedRank(statistic, min(1.0, p), len(kept), median)


def _midranks(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ranks from 1, equal values sharing the mean of theirs; and how often each value occurs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return ranks[places], counts.astype(np.float64)


def _exact(ranks: NDArray[np.float64], statistic: float) -> float:
    """Share of all choices of signs whose smaller rank sum is at most `statistic`."""
    # Ranks may be halves; twice a rank is whole.
    doubled = np.rint(2 * ranks).astype(np.int64)
    ways = np.zeros(int(doubled.sum()) + 1)
    ways[0] = 1.0
    for rank in doubled:
        ways[rank:] = ways[rank:] + ways[:-rank]
    below = ways[: round(2 * statistic) + 1].sum()
    return float(2 * below / ways.sum())


def _normal(pairs: int, counts: NDArray[np.float64], statistic: float) -> float:
    centre = pairs * (pairs + 1) / 4
    variance = pairs * (pairs + 1) * (2 * pairs + 1) / 24 - float((counts**3 - counts).sum()) / 48
    return math.erfc((centre - statistic) / math.sqrt(2 * variance))
