"""The signed-rank test against all signs counted one by one, and against scipy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from ssl_registry.evaluation.wilcoxon import EXACT, signed_rank


def counted(differences: list[float]) -> float:
    """The p-value by trying every choice of signs, ranks worked out by comparing all with all."""
    sizes = [abs(d) for d in differences if d]
    ranks = [
        sum(other < size for other in sizes) + (sum(other == size for other in sizes) + 1) / 2
        for size in sizes
    ]

    def smaller(signs: tuple[bool, ...]) -> float:
        positive = sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
        return min(positive, sum(ranks) - positive)

    seen = smaller(tuple(d > 0 for d in differences if d))
    all_signs = list(itertools.product((False, True), repeat=len(sizes)))
    return sum(smaller(signs) <= seen for signs in all_signs) / len(all_signs)


@pytest.mark.parametrize(
    "differences",
    [
        [0.3, -0.1, 0.2, 0.4, -0.05, 0.6],
        [0.5, 0.5, -0.5, 0.25, 0.25, 0.75, -0.25, 0.0],
        [1.0, 1.0, 1.0, 1.0],
        [0.2, -0.2],
    ],
)
def test_exact_p_counts_all_signs(differences: list[float]) -> None:
    assert signed_rank(differences).p == pytest.approx(min(1.0, counted(differences)))


def test_agrees_with_scipy() -> None:
    from scipy.stats import wilcoxon

    generator = np.random.default_rng(0)
    for count, method in ((12, "exact"), (45, "exact"), (156, "approx")):
        values = generator.normal(0.02, 0.1, count)
        found, expected = signed_rank(values), wilcoxon(values, method=method)
        assert found.statistic == pytest.approx(expected.statistic)
        assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
        assert found.pairs == count


def test_agrees_with_scipy_where_ranks_are_equal_and_differences_zero() -> None:
    from scipy.stats import wilcoxon

    values = np.random.default_rng(1).integers(-4, 6, 200) / 10
    found, expected = signed_rank(values), wilcoxon(values, method="approx")
    assert found.pairs == np.count_nonzero(values) > EXACT
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.median == np.median(values)


def test_rounding_makes_no_ranks() -> None:
    third = [0.1 + 0.2 - 0.3, 0.1, -(0.3 - 0.2), 0.5]
    assert signed_rank(third).p == pytest.approx(counted([0.0, 0.1, -0.1, 0.5]))


def test_nothing_to_test() -> None:
    assert signed_rank([0.0, 0.0]).p == 1
    assert math.isnan(signed_rank([]).p)
    assert math.isnan(signed_rank([0.1, math.nan]).p)
