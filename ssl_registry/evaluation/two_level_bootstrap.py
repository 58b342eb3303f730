"""Intervals for means over runs and images, by resampling both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ssl_registry.evaluation.bootstrap import LEVEL, Estimate

DRAWS: Final = 10_000
_AT_ONCE: Final = 1 << 21


@dataclass(frozen=True)
class RunScores:
    """A score of several runs on the same images.

    Attributes:
        values: float64 `[R, N]`, one value per run and image; none is NaN.
        groups: int64 `[R]`, which runs belong together, such as those of one pre-training.
        clusters: int64 `[N]`, which images belong together, such as those of one patient, numbered
            from 0; by default each stands for itself.
    """

    values: NDArray[np.float64]
    groups: NDArray[np.int64]
    clusters: NDArray[np.int64] | None = None

    @property
    def score(self) -> float:
        """The mean over runs and images."""
        return float(self.values.mean())

    @property
    def of_clusters(self) -> NDArray[np.float64]:
        """Each cluster's mean over its images and the runs, `[C]`."""
        means: NDArray[np.float64] = self.values.mean(axis=0)
        if self.clusters is None:
            return means
        return np.bincount(self.clusters, weights=means) / np.bincount(self.clusters)


def mean_interval(scores: RunScores, seed: int, draws: int = DRAWS) -> Estimate:
    """The mean with its 95 % percentile interval over other runs and other images.

    Each draw takes runs with replacement and, independently, clusters of images with replacement,
    with all their images. Where runs are in several groups, groups are drawn first, then as many
    runs within each as it has.
    """
    return _estimate(scores.score, _drawn_means(scores, seed, draws, stream=0))


def difference_interval(
    scores: RunScores, baseline: RunScores, seed: int, draws: int = DRAWS
) -> Estimate:
    """The mean of `scores` less that of `baseline`, with its 95 % percentile interval.

    Both are of the same images, so each draw takes the same images for both; their runs are
    drawn independently of each other.

    Raises:
        ValueError: They are of different numbers of images, or these are clustered differently.
    """
    if not np.array_equal(_clusters(scores), _clusters(baseline)):
        raise ValueError("scores of different images have no paired difference")
    drawn = _drawn_means(scores, seed, draws, stream=0)
    drawn = drawn - _drawn_means(baseline, seed, draws, stream=1)
    return _estimate(scores.score - baseline.score, drawn)


def _estimate(value: float, drawn: NDArray[np.float64]) -> Estimate:
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))


def _drawn_means(scores: RunScores, seed: int, draws: int, stream: int) -> NDArray[np.float64]:
    """The mean of each draw, `[draws]`; `seed` and clusters alone decide which images are drawn."""
    clusters = _clusters(scores)
    drawn = _cluster_counts(int(clusters.max()) + 1, seed, draws)
    runs = _run_weights(tuple(scores.groups.tolist()), seed, draws, stream)
    rows = max(1, _AT_ONCE // len(clusters))
    parts = []
    for start in range(0, draws, rows):
        images = drawn[start : start + rows, clusters].astype(np.float64)
        sums = np.einsum("dn,dn->d", runs[start : start + rows] @ scores.values, images)
        parts.append(sums / images.sum(axis=1))
    return np.concatenate(parts)


def _clusters(scores: RunScores) -> NDArray[np.int64]:
    images = scores.values.shape[1]
    return np.arange(images) if scores.clusters is None else scores.clusters


@lru_cache(maxsize=4)
def _cluster_counts(count: int, seed: int, draws: int) -> NDArray[np.uint16]:
    """How often each cluster is taken in each draw, `[draws, count]`."""
    generator = np.random.default_rng((seed, 0))
    shares = np.full(count, 1 / count)
    rows = max(1, _AT_ONCE // count)
    parts = [
        generator.multinomial(count, shares, size=min(rows, draws - start)).astype(np.uint16)
        for start in range(0, draws, rows)
    ]
    return np.concatenate(parts)


@lru_cache(maxsize=16)
def _run_weights(
    groups: tuple[int, ...], seed: int, draws: int, stream: int
) -> NDArray[np.float64]:
    """The weight of each run in each draw, `[draws, R]`, of sum 1."""
    generator = np.random.default_rng((seed, 1, stream))
    names, places = np.unique(groups, return_inverse=True)
    count = len(names)
    taken = generator.multinomial(count, np.full(count, 1 / count), size=draws)
    weights = np.zeros((draws, len(groups)))
    for number in range(count):
        members = np.flatnonzero(places == number)
        shares = np.full(len(members), 1 / len(members))
        weights[:, members] = generator.multinomial(taken[:, number] * len(members), shares)
    normalized: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return normalized
