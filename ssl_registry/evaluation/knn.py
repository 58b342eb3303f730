"""Classification by a weighted vote of the nearest training images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_AT_ONCE = 1024


def knn_votes(
    embeddings: Tensor, bank: Tensor, labels: Tensor, classes: int, k: int, temperature: float
) -> Tensor:
    """Votes `[N, classes]` for the class of each image (Wu et al. 2018, section 3.4).

    The k training images of largest cosine s vote for their class with weight exp(s / tau).
    The weights are divided by the largest of them, which changes no winner and cannot overflow.

    Args:
        embeddings: `[N, D]`, not normalised.
        bank: Embeddings of the training images `[M, D]`, not normalised.
        labels: Their classes, int64 `[M]`.
        classes: How many classes there are.
        k: Neighbours that vote, at most M.
        temperature: tau, above 0.
    """
    normal_bank = F.normalize(bank, dim=1)  # [M, D]
    votes = []
    for part in torch.split(F.normalize(embeddings, dim=1), _AT_ONCE):
        cosine, nearest = (part @ normal_bank.T).topk(k, dim=1)  # [n, k] each
        weights = ((cosine - cosine[:, :1]) / temperature).exp()
        zeros = torch.zeros(len(part), classes, dtype=weights.dtype, device=weights.device)
        votes.append(zeros.scatter_add_(1, labels[nearest], weights))
    return torch.cat(votes)


def knn_predict(
    embeddings: Tensor, bank: Tensor, labels: Tensor, classes: int, k: int, temperature: float
) -> Tensor:
    """The class of most votes for each image, int64 `[N]`; the first one on a tie."""
    return knn_votes(embeddings, bank, labels, classes, k, temperature).argmax(dim=1)
