"""Intervals for scores that are means over images, by resampling the images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
LEVEL = 0.95
_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class ImageScores:
    """A score as the weighted mean of one value per image.

    Attributes:
        values: float64 `[N]`, such as 1 for a correct image and 0 for a wrong one.
        weights: float64 `[N]`, of sum 1.
        strata: int64 `[N]`; resampling keeps the number of images in each stratum, so that the
            weights of a balanced score stay what they are.
    """

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    strata: NDArray[np.int64]

    @property
    def score(self) -> float:
        """The weighted mean."""
        return float(self.values @ self.weights)

    def minus(self, other: ImageScores) -> ImageScores:
        """The paired difference, image by image.

        Raises:
            ValueError: The two are not about the same images.
        """
        same = np.array_equal(self.strata, other.strata)
        if not same or not np.array_equal(self.weights, other.weights):
            raise ValueError("scores of different images have no paired difference")
        return ImageScores(self.values - other.values, self.weights, self.strata)


@dataclass(frozen=True)
class Estimate:
    """A score with its bootstrap interval.

    Attributes:
        value: The score itself.
        low: Lower end of the 95 % interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def plain_scores(values: NDArray[np.float64]) -> ImageScores:
    """The mean over all images."""
    count = len(values)
    return ImageScores(values, np.full(count, 1 / count), np.zeros(count, dtype=np.int64))


def class_scores(
    correct: NDArray[np.bool_], truth: NDArray[np.int64]
) -> tuple[ImageScores, ImageScores]:
    """Accuracy and balanced accuracy of a classification.

    Balanced accuracy is the mean over the classes that occur in `truth` of the share of their
    images that are right.

    Args:
        correct: `[N]`, whether an image was classified rightly.
        truth: `[N]`, its class.
    """
    values = correct.astype(np.float64)
    _, strata, counts = np.unique(truth, return_inverse=True, return_counts=True)
    strata = strata.astype(np.int64)
    balanced = 1 / (len(counts) * counts[strata].astype(np.float64))
    plain = np.full(len(truth), 1 / len(truth))
    return ImageScores(values, plain, strata), ImageScores(values, balanced, strata)


def mean_scores(scores: list[ImageScores]) -> ImageScores:
    """The mean of several scores of the same images, image by image."""
    values = np.mean([one.values for one in scores], axis=0)
    return ImageScores(values, scores[0].weights, scores[0].strata)


def estimate(scores: ImageScores, seed: int, resamples: int = RESAMPLES) -> Estimate:
    """The score with its percentile interval (Efron and Tibshirani 1993, chapter 13).

    Images are drawn with replacement within each stratum. The interval is about other images
    of the same kind; it knows nothing of other seeds of a training.

    Args:
        scores: One value per image.
        seed: Seed of the draws.
        resamples: How many sets of images are drawn.
    """
    products = len(scores.values) * scores.weights * scores.values
    drawn = np.concatenate(
        [products[places].mean(axis=1) for places in _draws(scores.strata, seed, resamples)]
    )
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Estimate(scores.score, float(low), float(high))


def _draws(strata: NDArray[np.int64], seed: int, resamples: int) -> Iterator[NDArray[np.int64]]:
    """Places `[some, N]` of resampled images, `resamples` rows in all."""
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    rows = max(1, _AT_ONCE // len(strata))
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        columns = [of[generator.integers(len(of), size=(count, len(of)))] for of in members]
        yield np.concatenate(columns, axis=1)
