"""An arm against the baseline: what is called a difference, and what is certain of it."""

from __future__ import annotations

import math

import pytest

from ssl_registry.evaluation.bootstrap import Estimate
from ssl_registry.study.comparing import Against, PanelStatistics, tally

CASES = [
    (0.01, 0.05, (0.1, 0.3), "", True),
    (0.01, 0.04, (0.1, 0.3), "higher", True),
    (0.01, 0.04, (-0.3, -0.1), "lower", True),
    (0.01, 0.04, (-0.1, 0.3), "higher", False),
    (0.01, 0.04, (-0.3, 0.1), "lower", False),
    (math.nan, math.nan, (-0.1, 0.3), "", False),
]


def against(p: float, adjusted: float, ends: tuple[float, float]) -> Against:
    difference = Estimate(sum(ends) / 2, *ends)
    return Against(9, 9, 1, 1, difference, median=0.0, p=p, adjusted=adjusted)


@pytest.mark.parametrize(("p", "adjusted", "ends", "verdict", "certain"), CASES)
def test_a_verdict_is_by_the_adjusted_p_and_certain_by_the_interval(
    p: float, adjusted: float, ends: tuple[float, float], verdict: str, certain: bool
) -> None:
    one = against(p, adjusted, ends)
    assert (one.verdict, one.certain) == (verdict, certain)


def test_a_tally_counts_the_cells_of_a_policy() -> None:
    found = {("dice/lesion", str(n), 1.0): against(*case[:3]) for n, case in enumerate(CASES)}
    found["dice/all_empty1", "0", 1.0] = against(*CASES[1][:3])
    panel = PanelStatistics({}, found, ())
    assert tally([panel, panel], "dice/lesion") == {
        "higher": 4,
        "lower": 4,
        "neither": 4,
        "certainly higher": 2,
        "certainly lower": 2,
    }
