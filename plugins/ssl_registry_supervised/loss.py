"""The soft Dice loss."""

from __future__ import annotations

from typing import Literal

from torch import Tensor


def soft_dice_loss(
    probabilities: Tensor, targets: Tensor, over: Literal["image", "batch"], smooth: float
) -> Tensor:
    r"""1 minus the soft Dice coefficient (Milletari et al. 2016, with plain sums below).

    .. math:: 1 - \frac{2 \sum p\,t + \epsilon}{\sum p + \sum t + \epsilon}

    The sums run over the pixels of one image and class, or of one class over the whole batch;
    the result is the mean over images and classes, or over classes. An empty target has a loss
    of almost 1 unless the prediction is empty too; `over="batch"` is robust to such images.

    Args:
        probabilities: `[N, K, H, W]` in [0, 1].
        targets: `[N, K, H, W]` of 0 and 1, of the same dtype.
        over: What the sums run over.
        smooth: :math:`\epsilon`, above 0.

    Returns:
        A scalar in [0, 1].
    """
    axes = (-2, -1) if over == "image" else (0, -2, -1)
    overlap = (probabilities * targets).sum(axes)
    total = probabilities.sum(axes) + targets.sum(axes)
    return (1 - (2 * overlap + smooth) / (total + smooth)).mean()
