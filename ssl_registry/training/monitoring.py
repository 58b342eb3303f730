"""Gauges of how a training goes, beside its loss."""

from __future__ import annotations

import math
import resource
import sys

import torch

from ssl_registry.interfaces.training import StepOutput


def scalars_of(output: StepOutput) -> dict[str, float]:
    """What a step reported beside its loss, by name."""
    scalars = {name: float(value) for name, value in output.scalars.items()}
    if output.embeddings is not None:
        scalars["embedding_spread"] = embedding_spread(output.embeddings)
    return scalars


def embedding_spread(embeddings: torch.Tensor) -> float:
    """Mean standard deviation per dimension of L2-normalised `[M, D]`, times sqrt(D).

    1 for directions spread evenly, 0 when all collapse to one (Chen and He 2021, section 4.1).
    """
    unit = torch.nn.functional.normalize(embeddings.detach().float(), dim=1)
    return float(unit.std(dim=0, correction=0).mean() * math.sqrt(unit.shape[1]))


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
