"""Holm's correction of p-values for several tests."""

from __future__ import annotations

import math
from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of a family of tests (Holm 1979), in the order given.

    The k-th smallest of m p-values is multiplied by m - k + 1, and none falls below the one
    before it. Rejecting what is below 0.05 afterwards errs once or more with probability 0.05 at
    most, however the tests depend on each other. A NaN stays and counts for nothing.
    """
    order = sorted(
        (place for place, p in enumerate(p_values) if not math.isnan(p)),
        key=lambda place: p_values[place],
    )
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
