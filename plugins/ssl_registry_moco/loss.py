"""The contrastive loss against a queue."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def queue_contrast(
    queries: Tensor,
    keys: Tensor,
    queue: Tensor,
    temperature: float,
    excluded: Tensor | None = None,
) -> Tensor:
    r"""InfoNCE of MoCo (He et al. 2020, equation 1), its mean over N queries.

    With q a query, :math:`k_+` its key, :math:`k_1 \dots k_K` the queue, all of length 1,

    .. math::
        L_q = -\log \frac{\exp(q \cdot k_+ / \tau)}
                         {\exp(q \cdot k_+ / \tau) + \sum_{i=1}^{K} \exp(q \cdot k_i / \tau)} .

    It is computed in fp32 (or the queries' own, if that is wider), also under autocast. Only the
    queries get a gradient.

    Args:
        queries: `[N, D]`, not normalised.
        keys: `[N, D]`, not normalised; row n belongs to the same image as row n of `queries`.
        queue: Keys of earlier images `[K, D]`, of length 1; it must not hold `keys`.
        temperature: :math:`\tau`, above 0.
        excluded: bool `[N, K]`, True where a key of the queue is no negative of a query.

    Returns:
        The loss, a scalar. Where a query is orthogonal to all keys it is ln(K + 1).
    """
    with torch.autocast(queries.device.type, enabled=False):
        dtype = torch.promote_types(queries.dtype, torch.float32)
        q = F.normalize(queries.to(dtype), dim=1)  # [N, D]
        k = F.normalize(keys.detach().to(dtype), dim=1)  # [N, D]
        positive = (q * k).sum(dim=1, keepdim=True)  # [N, 1]
        negatives = q @ queue.detach().to(dtype).T  # [N, K]
        if excluded is not None:
            negatives = negatives.masked_fill(excluded, float("-inf"))
        logits = torch.cat([positive, negatives], dim=1) / temperature  # [N, 1 + K]
        labels = torch.zeros(len(q), dtype=torch.int64, device=q.device)
        return F.cross_entropy(logits, labels)
