"""Gauges of how a training goes, beside its loss."""

from __future__ import annotations

import math
import resource
import sys

import torch

from ssl_registry.interfaces.training import StepOutput


def scalars_of(output: StepOutput) -> dict[str, float]:
    """What a step reported beside its loss, by name."""
    values = dict(output.scalars)
    if output.embeddings is not None:
        values["embedding_spread"] = _spread(output.embeddings)
    scalars: dict[str, float] = {}
    for device in {value.device for value in values.values()}:
        here = {name: value for name, value in values.items() if value.device == device}
        # Together, so that a GPU is waited for once.
        together = torch.stack([value.detach().float().reshape(()) for value in here.values()])
        scalars.update(zip(here, together.tolist(), strict=True))
    return {name: scalars[name] for name in values}


def embedding_spread(embeddings: torch.Tensor) -> float:
    """Mean standard deviation per dimension of L2-normalised `[M, D]`, times sqrt(D).

    1 for directions spread evenly, 0 when all collapse to one (Chen and He 2021, section 4.1).
    """
    return float(_spread(embeddings))


def _spread(embeddings: torch.Tensor) -> torch.Tensor:
    unit = torch.nn.functional.normalize(embeddings.detach().float(), dim=1)
    return unit.std(dim=0, correction=0).mean() * math.sqrt(unit.shape[1])


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
