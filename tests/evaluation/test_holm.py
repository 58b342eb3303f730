"""Holm's correction against values worked out by hand, and against its error rate."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ssl_registry.evaluation.holm import holm


def test_by_hand() -> None:
    # Sorted: 0.005 x 4, 0.01 x 3 = 0.03, 0.03 x 2 = 0.06, 0.04 x 1, which may not fall below 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_stops_at_one_and_keeps_what_is_undefined() -> None:
    found = holm([0.6, math.nan, 0.9])
    assert math.isnan(found[1])
    assert [found[0], found[2]] == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.2]) == [0.2]


def test_what_is_undefined_is_not_counted() -> None:
    found = holm([0.01, math.nan, 0.04])
    assert math.isnan(found[1])
    assert [found[0], found[2]] == pytest.approx([0.02, 0.04])


def test_rejects_what_the_step_down_procedure_rejects() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        p_values = generator.uniform(0, 0.1, 6).tolist()
        rejected = set()
        for rank, place in enumerate(sorted(range(6), key=p_values.__getitem__)):
            if p_values[place] > 0.05 / (6 - rank):
                break
            rejected.add(place)
        assert {n for n, p in enumerate(holm(p_values)) if p <= 0.05} == rejected


def test_errs_in_one_family_of_twenty() -> None:
    generator = np.random.default_rng(1)
    families = [min(holm(generator.uniform(size=8).tolist())) <= 0.05 for _ in range(4000)]
    assert np.mean(families) == pytest.approx(0.05, abs=0.011)
