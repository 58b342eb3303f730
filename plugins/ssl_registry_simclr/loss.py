"""The normalised temperature-scaled cross entropy loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_registry.nn import gather, rank, world_size


def nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    r"""NT-Xent of SimCLR (Chen et al. 2020, equation 1), its mean over all 2N views.

    With :math:`z_1 \dots z_{2N}` the views of N images, sim the cosine similarity and
    :math:`j(i)` the other view of the image of which i is a view,

    .. math::
        \ell_i = -\log \frac{\exp(\mathrm{sim}(z_i, z_{j(i)}) / \tau)}
                            {\sum_{k \ne i} \exp(\mathrm{sim}(z_i, z_k) / \tau)},
        \qquad L = \frac{1}{2N} \sum_i \ell_i .

    In W processes these are the mean over the 2N views of this one; candidates are the 2NW views of
    all, with gradient, so that the mean over processes is L of the whole batch.

    It is computed in fp32 (or the inputs' own, if that is wider), also under autocast: bf16
    resolves logits near 14 only to 0.06.

    Args:
        z1: First views `[N, D]`, not normalised.
        z2: Second views `[N, D]`; row n belongs to the same image as row n of `z1`.
        temperature: :math:`\tau`, above 0.

    Returns:
        The loss, a scalar. For orthogonal views it is about ln(2N - 1).
    """
    with torch.autocast(z1.device.type, enabled=False):
        dtype = torch.promote_types(z1.dtype, torch.float32)
        n = z1.shape[0]
        z = F.normalize(torch.cat([z1, z2]).to(dtype), dim=1)  # [2N, D]
        candidates = gather(z)  # [2NW, D], the first views of all images, then the second ones
        logits = z @ candidates.T / temperature  # [2N, 2NW]
        itself = torch.arange(2 * n, device=z.device) * world_size() + rank()  # i
        # A view is no candidate for itself.
        places = torch.arange(len(candidates), device=z.device)
        logits = logits.masked_fill(itself[:, None] == places, float("-inf"))
        other_view = itself.roll(n)  # j(i)
        return F.cross_entropy(logits, other_view)
