"""The negative cosine similarity."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def negative_cosine(p: Tensor, z: Tensor) -> Tensor:
    r"""Negative cosine similarity of SimSiam (Chen and He 2021, equation 1), its mean over N.

    .. math:: D(p, z) = - \frac{p}{\|p\|} \cdot \frac{z}{\|z\|}

    It is computed in fp32 (or the inputs' own, if that is wider), also under autocast.

    Args:
        p: Predictions `[N, D]`.
        z: Targets `[N, D]`; the caller stops their gradient.

    Returns:
        The loss, a scalar in [-1, 1].
    """
    with torch.autocast(p.device.type, enabled=False):
        dtype = torch.promote_types(p.dtype, torch.float32)
        p = F.normalize(p.to(dtype), dim=1)  # [N, D]
        z = F.normalize(z.to(dtype), dim=1)  # [N, D]
        return -(p * z).sum(dim=1).mean()
