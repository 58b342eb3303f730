"""The effective rank of embeddings: how many directions they use."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_registry.data.pool import ImagePool
from ssl_registry.evaluation.embeddings import BATCH, Reader
from ssl_registry.nn.trunk import Trunk

_EPSILON = 1e-7


def effective_rank(embeddings: Tensor) -> float:
    r"""RankMe (Garrido et al. 2023, equation 1) of embeddings `[N, D]`.

    With singular values :math:`\sigma_k` and :math:`p_k = \sigma_k / \|\sigma\|_1 + 10^{-7}` it is
    :math:`\exp(-\sum_k p_k \log p_k)`: min(N, D) if all directions are used alike, 1 if all
    embeddings lie on a line through 0. Embeddings are taken as they are, not centred; if one is
    not finite, the rank is NaN.
    """
    if not embeddings.isfinite().all():
        return math.nan  # LAPACK would raise, and end a run that merely is watched
    # LAPACK in fp64 is exact enough and the same on every device.
    singular = torch.linalg.svdvals(embeddings.detach().double().cpu())
    shares = singular / singular.sum().clamp_min(torch.finfo(singular.dtype).tiny) + _EPSILON
    return float((-(shares * shares.log()).sum()).exp())


class RankGauge:
    """The effective rank of the trunk's embeddings of training images, not augmented.

    The images are spread evenly over all that are trained on. The rank is at most their number:
    values are comparable between runs of the same number of images.
    """

    def __init__(self, pool: ImagePool, images: int, image_size: int, reader: Reader) -> None:
        self._pool, self._size, self._reader = pool, image_size, reader
        count = min(images, len(pool))
        self._places = np.linspace(0, len(pool) - 1, count).round().astype(np.int64)

    def measure(self, trunk: Trunk) -> float:
        """The effective rank now; the trunk is as before afterwards."""
        starts = range(0, len(self._places), BATCH)
        parts = [self._embed(trunk, self._places[start : start + BATCH]) for start in starts]
        return effective_rank(torch.cat(parts))

    def _embed(self, trunk: Trunk, places: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Tensor:
        images = self._pool.images(places)
        if images.shape[-1] != self._size:
            size = (self._size, self._size)
            shrunk = F.interpolate(images.float(), size, mode="bilinear", antialias=True)
            images = shrunk.round().clamp(0, 255).byte()
        return self._reader.embed(trunk, images.numpy())
