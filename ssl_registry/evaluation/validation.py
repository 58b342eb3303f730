"""The validation scores, computed from whole batches; equal to the table's aggregates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssl_registry.evaluation.segment import predicted_planes, truth_planes


def validation_dice(
    probabilities: NDArray[np.float32],
    masks: NDArray[np.uint8],
    threshold: float,
    exclusive: bool,
) -> dict[str, float]:
    """Mean Dice under two policies, each first by class and then averaged over the classes.

    Args:
        probabilities: `[N, K, S, S]`.
        masks: `[N, S, S]` of class numbers, or `[N, K, S, S]` of planes.
        threshold: Probability above which a pixel is foreground.
        exclusive: Whether a pixel belongs to at most one class.

    Returns:
        `dice/lesion`, over images with a non-empty truth (0 if there is none), and
        `dice/all_empty1`, over all images, where an empty truth counts 1 if the prediction is
        empty too, else 0.
    """
    classes = probabilities.shape[1]
    dice = np.empty((len(probabilities), classes))
    present = np.empty(dice.shape, dtype=bool)
    for number, (probability, mask) in enumerate(zip(probabilities, masks, strict=True)):
        predicted = predicted_planes(probability, threshold, exclusive)
        truth = truth_planes(mask, classes)
        overlap = (predicted & truth).sum(axis=(1, 2))
        total = predicted.sum(axis=(1, 2)) + truth.sum(axis=(1, 2))
        dice[number] = np.where(total > 0, 2 * overlap / np.maximum(total, 1), 1.0)
        present[number] = truth.any(axis=(1, 2))
    by_class = [dice[present[:, k], k].mean() for k in range(classes) if present[:, k].any()]
    return {
        "dice/lesion": float(np.mean(by_class)) if by_class else 0.0,
        "dice/all_empty1": float(dice.mean()),
    }
