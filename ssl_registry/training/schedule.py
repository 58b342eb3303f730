"""The learning-rate schedule: linear warm-up, then a cosine, per step."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Learning rate as a function of the step alone.

    Attributes:
        peak: Rate after warm-up.
        final: Rate the cosine would reach at `total_steps`.
        warmup_steps: Steps of linear warm-up; the first step has rate peak / warmup_steps.
        total_steps: Steps of the whole run.
    """

    peak: float
    final: float
    warmup_steps: int
    total_steps: int

    def rate(self, step: int) -> float:
        """Rate of `step`, from 0 (Loshchilov and Hutter 2017, eq. 5, without restarts)."""
        if step < self.warmup_steps:
            return self.peak * (step + 1) / self.warmup_steps
        span = max(self.total_steps - self.warmup_steps, 1)
        share = (step - self.warmup_steps) / span
        return self.final + (self.peak - self.final) * (1 + math.cos(math.pi * share)) / 2
