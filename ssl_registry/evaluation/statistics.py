"""Means, sample standard deviations and paired differences over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """Some values in short.

    Attributes:
        mean: Their mean; NaN if there is none or one is NaN.
        sd: Their sample standard deviation (divisor n - 1); NaN for fewer than two values.
        n: How many they are.
    """

    mean: float
    sd: float
    n: int


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; NaN for no values."""
    return math.fsum(values) / len(values) if values else math.nan


def sample_sd(values: Sequence[float]) -> float:
    """Sample standard deviation (divisor n - 1, `ddof=1`); NaN for fewer than two values."""
    if len(values) < 2:
        return math.nan
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))


def summarize(values: Sequence[float]) -> Summary:
    """Mean and sample standard deviation. A NaN among the values makes both NaN."""
    return Summary(mean=mean(values), sd=sample_sd(values), n=len(values))


def paired_differences(values: Sequence[float], baseline: Sequence[float]) -> list[float]:
    """`values[i] - baseline[i]` for each seed i.

    Raises:
        ValueError: There are not equally many of both, so they cannot be pairs.
    """
    if len(values) != len(baseline):
        raise ValueError(f"{len(values)} values cannot be paired with {len(baseline)}")
    return [value - base for value, base in zip(values, baseline, strict=True)]
