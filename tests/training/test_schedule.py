from __future__ import annotations

import math

import pytest

from ssl_registry.training.schedule import Schedule


def test_warm_up_then_cosine() -> None:
    schedule = Schedule(peak=1.0, final=0.2, warmup_steps=4, total_steps=12)
    # A quarter more each step, then 0.6 + 0.4 cos(pi k / 8).
    assert [schedule.rate(step) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert schedule.rate(4) == 1.0
    assert schedule.rate(6) == pytest.approx(0.6 + 0.4 * math.sqrt(0.5))
    assert schedule.rate(8) == pytest.approx(0.6)
    assert schedule.rate(10) == pytest.approx(0.6 - 0.4 * math.sqrt(0.5))
    assert schedule.rate(12) == pytest.approx(0.2)


def test_without_warm_up_the_first_step_is_at_the_peak() -> None:
    schedule = Schedule(peak=3e-4, final=0.0, warmup_steps=0, total_steps=100)
    assert schedule.rate(0) == 3e-4
    assert schedule.rate(50) == pytest.approx(1.5e-4)
    assert all(schedule.rate(step) > schedule.rate(step + 1) for step in range(99))


def test_a_single_step() -> None:
    assert Schedule(peak=1.0, final=0.0, warmup_steps=0, total_steps=1).rate(0) == 1.0
