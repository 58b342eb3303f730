"""Gauges of how a training goes, beside its loss."""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Sequence

import torch

from ssl_registry.interfaces.training import StepOutput


def scalars_of(output: StepOutput) -> dict[str, torch.Tensor]:
    """What a step reported beside its loss, by name: fp32 scalars, which nobody has waited for."""
    values = dict(output.scalars)
    if output.embeddings is not None:
        values["embedding_spread"] = _spread(output.embeddings)
    return {name: value.detach().float().reshape(()) for name, value in values.items()}


def numbers_of(scalars: Sequence[torch.Tensor]) -> list[float]:
    """The numbers that some scalars hold; each device of theirs is waited for once."""
    numbers = [0.0] * len(scalars)
    for device in {scalar.device for scalar in scalars}:
        here = [place for place, scalar in enumerate(scalars) if scalar.device == device]
        # MPS has no float64.
        wide = torch.float32 if device.type == "mps" else torch.float64
        together = torch.stack([scalars[place].detach().to(wide) for place in here]).tolist()
        for place, number in zip(here, together, strict=True):
            numbers[place] = number
    return numbers


def embedding_spread(embeddings: torch.Tensor) -> float:
    """Mean standard deviation per dimension of L2-normalised `[M, D]`, times sqrt(D).

    1 for directions spread evenly, 0 when all collapse to one (Chen and He 2021, section 4.1).
    """
    return float(_spread(embeddings))


def _spread(embeddings: torch.Tensor) -> torch.Tensor:
    unit = torch.nn.functional.normalize(embeddings.detach().float(), dim=1)
    # On the CPU `std` over the first dimension takes five times as long.
    deviations = (unit - unit.mean(dim=0)).square_().mean(dim=0).sqrt_()
    return deviations.mean() * math.sqrt(unit.shape[1])


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
