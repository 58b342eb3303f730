"""The validation score, computed from whole batches; equal to the table's `dice/lesion`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssl_registry.evaluation.segment import predicted_planes, truth_planes


def lesion_dice(
    probabilities: NDArray[np.float32],
    masks: NDArray[np.uint8],
    threshold: float,
    exclusive: bool,
) -> float:
    """Mean Dice over images with a non-empty truth; over classes first by class, then their mean.

    Args:
        probabilities: `[N, K, S, S]`.
        masks: `[N, S, S]` of class numbers, or `[N, K, S, S]` of planes.
        threshold: Probability above which a pixel is foreground.
        exclusive: Whether a pixel belongs to at most one class.

    Returns:
        The score in [0, 1]; 0 if no image has a lesion.
    """
    classes = probabilities.shape[1]
    dice = np.full((len(probabilities), classes), np.nan)
    for number, (probability, mask) in enumerate(zip(probabilities, masks, strict=True)):
        predicted = predicted_planes(probability, threshold, exclusive)
        truth = truth_planes(mask, classes)
        overlap = (predicted & truth).sum(axis=(1, 2))
        present = truth.any(axis=(1, 2))
        total = predicted.sum(axis=(1, 2)) + truth.sum(axis=(1, 2))
        dice[number, present] = 2 * overlap[present] / total[present]
    seen = ~np.isnan(dice).all(axis=0)
    return float(np.nanmean(dice[:, seen], axis=0).mean()) if seen.any() else 0.0
