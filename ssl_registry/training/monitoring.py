"""Gauges of how a pre-training goes, beside its loss."""

from __future__ import annotations

import math

import torch


def embedding_spread(embeddings: torch.Tensor) -> float:
    """Mean standard deviation per dimension of L2-normalised `[M, D]`, times sqrt(D).

    1 for directions spread evenly, 0 when all collapse to one (Chen and He 2021, section 4.1).
    """
    unit = torch.nn.functional.normalize(embeddings.detach().float(), dim=1)
    return float(unit.std(dim=0, correction=0).mean() * math.sqrt(unit.shape[1]))
