"""Overlap metrics as pure functions of pixel counts.

An undefined ratio (an empty denominator) is NaN, never silently 0 or 1: what an undefined value
counts for in a mean is a policy, and the policies live in `ssl_registry.evaluation.aggregate`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssl_registry.errors import DataError


@dataclass(frozen=True)
class Counts:
    """Pixels of one prediction against one truth.

    Attributes:
        tp: Predicted foreground that is foreground.
        fp: Predicted foreground that is background.
        fn: Foreground that was missed.
        tn: Background left alone.
    """

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def empty_truth(self) -> bool:
        """Whether the truth has no foreground pixel."""
        return self.tp + self.fn == 0

    @property
    def empty_prediction(self) -> bool:
        """Whether the prediction has no foreground pixel."""
        return self.tp + self.fp == 0


def count(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Counts:
    """Count the agreement of two boolean masks of the same shape.

    Raises:
        DataError: The shapes differ.
    """
    if prediction.shape != truth.shape:
        raise DataError(
            f"cannot compare a prediction of shape {prediction.shape} "
            f"with a mask of shape {truth.shape}; they must be equal"
        )
    predicted = int(np.count_nonzero(prediction))
    present = int(np.count_nonzero(truth))
    tp = int(np.count_nonzero(prediction & truth))
    return Counts(
        tp=tp, fp=predicted - tp, fn=present - tp, tn=truth.size - predicted - present + tp
    )


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else math.nan


def dice(counts: Counts) -> float:
    """2 TP / (2 TP + FP + FN) in [0, 1]; NaN if truth and prediction are both empty."""
    return _ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)


def iou(counts: Counts) -> float:
    """TP / (TP + FP + FN) in [0, 1]; NaN if truth and prediction are both empty."""
    return _ratio(counts.tp, counts.tp + counts.fp + counts.fn)


def precision(counts: Counts) -> float:
    """TP / (TP + FP) in [0, 1]; NaN if nothing is predicted."""
    return _ratio(counts.tp, counts.tp + counts.fp)


def sensitivity(counts: Counts) -> float:
    """TP / (TP + FN) in [0, 1]; NaN if the truth is empty."""
    return _ratio(counts.tp, counts.tp + counts.fn)


def specificity(counts: Counts) -> float:
    """TN / (TN + FP) in [0, 1]; NaN if the truth covers everything."""
    return _ratio(counts.tn, counts.tn + counts.fp)
