"""The validation scores, computed from whole batches; equal to the table's aggregates."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ssl_registry.evaluation.segment import Planes, predicted_planes, truth_planes


def validation_dice(
    batches: Iterable[tuple[NDArray[np.float32], NDArray[np.uint8]]],
    threshold: float,
    exclusive: bool,
) -> dict[str, float]:
    """Mean Dice under two policies, each first by class and then averaged over the classes.

    Args:
        batches: Probabilities `[N, K, S, S]` with their masks, `[N, S, S]` of class numbers or
            `[N, K, S, S]` of planes; one batch or more, of which one is held at a time.
        threshold: Probability above which a pixel is foreground.
        exclusive: Whether a pixel belongs to at most one class.

    Returns:
        `dice/lesion`, over images with a non-empty truth (0 if there is none), and
        `dice/all_empty1`, over all images, where an empty truth counts 1 if the prediction is
        empty too, else 0.
    """
    scored = [
        _batch_dice(probabilities, masks, threshold, exclusive) for probabilities, masks in batches
    ]
    dice, present = (np.concatenate(parts) for parts in zip(*scored, strict=True))
    by_class = [dice[present[:, k], k].mean() for k in range(dice.shape[1]) if present[:, k].any()]
    return {
        "dice/lesion": float(np.mean(by_class)) if by_class else 0.0,
        "dice/all_empty1": float(dice.mean()),
    }


def _batch_dice(
    probabilities: NDArray[np.float32], masks: NDArray[np.uint8], threshold: float, exclusive: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Dice `[N, K]`, 1 where truth and prediction are empty, and whether the truth is not empty."""
    predicted = predicted_planes(probabilities, threshold, exclusive)
    truth = _truth_planes(masks, probabilities.shape[1])
    overlap = np.count_nonzero(predicted & truth, axis=(2, 3))
    filled = np.count_nonzero(truth, axis=(2, 3))
    total = np.count_nonzero(predicted, axis=(2, 3)) + filled
    dice: NDArray[np.float64] = np.where(total > 0, 2 * overlap / np.maximum(total, 1), 1.0)
    return dice, filled > 0


def _truth_planes(masks: NDArray[np.uint8], classes: int) -> Planes:
    """Boolean planes `[N, K, S, S]` of all masks."""
    if masks.ndim == 4:
        return np.stack([truth_planes(mask, classes) for mask in masks])
    side = masks.shape[-1]
    # Masks of class numbers lie below one another as well as one by one.
    planes = truth_planes(masks.reshape(-1, side), classes).reshape(classes, *masks.shape)
    return planes.swapaxes(0, 1)
