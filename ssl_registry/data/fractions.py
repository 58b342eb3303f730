"""Label fractions: which of the training samples are labelled at 50 %, 25 %, 10 %."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from ssl_registry.interfaces.dataset import Sample

_STREAM = 1
"""Sets the draw apart from that of a split with the same seed."""


def labelled_fraction(samples: Sequence[Sample], fraction: float, seed: int) -> list[Sample]:
    """A nested, class-stratified share of the samples.

    One order of priority is drawn from the seed, and the first `fraction * N` samples, rounded
    half up and at least one, are taken: so a smaller share is always part of a larger one. The
    order interleaves the classes: a sample that is drawn r-th (from 0) of the n of its class
    stands at (r + 1/2) / n, so that every beginning of the order holds each class in proportion.
    Samples without a label count as one more class.

    Args:
        samples: The training samples, in any order; the same samples are taken for each order.
        fraction: Share in (0, 1].
        seed: Seed of the draw.

    Returns:
        The samples that are labelled, in the order given.

    Raises:
        ValueError: `fraction` is outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction}; it must be above 0 and at most 1")
    # The decimal as written: 0.35 of 10 is exactly 3.5, which the nearest double misses.
    count = math.floor(Fraction(str(float(fraction))) * len(samples) + Fraction(1, 2))
    taken = {sample.id for sample in _by_priority(samples, seed)[: max(count, 1)]}
    return [sample for sample in samples if sample.id in taken]


def _by_priority(samples: Sequence[Sample], seed: int) -> list[Sample]:
    ordered = sorted(samples, key=lambda sample: sample.id)
    draws = np.random.Generator(np.random.PCG64([seed, _STREAM])).random(len(ordered))
    sizes = Counter(sample.label for sample in ordered)
    drawn: Counter[str | None] = Counter()
    places: list[tuple[float, int, int]] = []
    for turn, place in enumerate(np.argsort(draws, kind="stable").tolist()):
        label = ordered[place].label
        # Classes of one size tie at each place: the turn, itself drawn, decides.
        places.append(((drawn[label] + 0.5) / sizes[label], turn, place))
        drawn[label] += 1
    return [ordered[place] for _, _, place in sorted(places)]
