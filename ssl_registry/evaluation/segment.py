"""From foreground probabilities to masks, at training and at native size."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ssl_registry.errors import DataError

Probabilities = NDArray[np.float32]
Mask = NDArray[np.uint8]
Planes = NDArray[np.bool_]


def resize_probabilities(probabilities: Probabilities, size: tuple[int, int]) -> Probabilities:
    """Resize `[K, H, W]` bilinearly (pixel centres aligned, antialiased when shrinking).

    Probabilities are resized, not masks, so that a coarse prediction gets a smooth outline
    instead of the steps of its pixels.
    """
    if probabilities.shape[1:] == size:
        return probabilities
    batch = torch.from_numpy(np.ascontiguousarray(probabilities, dtype=np.float32))[None]
    resized = F.interpolate(batch, size=size, mode="bilinear", align_corners=False, antialias=True)
    result: Probabilities = resized[0].numpy()
    return result


def predicted_planes(probabilities: Probabilities, threshold: float, exclusive: bool) -> Planes:
    """Decide each pixel: boolean `[..., K, H, W]`, one plane per foreground class.

    One class, or several that may overlap, are each foreground where their probability exceeds
    `threshold`. Several exclusive classes compete with each other and with the background, whose
    probability is what the K foreground probabilities (of a softmax over K + 1) leave over,
    `max(0, 1 - sum)`: the most probable wins, the background on a tie, and `threshold` is not used.
    """
    classes = probabilities.shape[-3]
    if classes == 1 or not exclusive:
        return probabilities > threshold
    background = np.maximum(0.0, 1.0 - probabilities.sum(axis=-3, keepdims=True))
    winner = np.concatenate([background, probabilities], axis=-3).argmax(axis=-3)
    planes: Planes = winner[..., None, :, :] == np.arange(1, classes + 1)[:, None, None]
    return planes


def predicted_mask(probabilities: Probabilities, threshold: float, exclusive: bool) -> Mask:
    """The decision as a dataset would store it.

    Returns:
        uint8 `[H, W]` of class numbers (0 is background) if classes are exclusive, else
        `[K, H, W]` of 0 and 1.
    """
    planes = predicted_planes(probabilities, threshold, exclusive).astype(np.uint8)
    if not exclusive:
        return planes
    numbers = np.arange(1, len(planes) + 1, dtype=np.uint8)[:, None, None]
    mask: Mask = (planes * numbers).max(axis=0)
    return mask


def truth_planes(mask: Mask, classes: int) -> Planes:
    """Boolean planes `[K, H, W]` of a mask of class numbers `[H, W]` or of planes `[K, H, W]`.

    Raises:
        DataError: The mask has a value above `classes`, or another number of planes.
    """
    if mask.ndim == 3:
        if len(mask) != classes:
            raise DataError(f"a mask has {len(mask)} planes for {classes} classes")
        return mask > 0
    highest = int(mask.max(initial=0))
    if highest > classes:
        raise DataError(
            f"a mask holds the value {highest}, but there are only {classes} classes: "
            "values must be 0 (background) or a class number"
        )
    planes: Planes = mask == np.arange(1, classes + 1, dtype=np.uint8)[:, None, None]
    return planes
