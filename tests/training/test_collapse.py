"""The watch over collapsed outputs: when it speaks, and what it says."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from ssl_registry.config.monitoring import MonitoringConfig, due
from ssl_registry.training.collapse import GAUGE, CollapseWarning, CollapseWatch


def watch(**settings: Any) -> CollapseWatch:
    return CollapseWatch(
        MonitoringConfig(**{"collapse_threshold": 0.2, "collapse_steps": 3, **settings})
    )


def test_it_takes_several_low_steps_in_a_row() -> None:
    patient = watch(on_collapse="stop")
    for spread in (0.1, 0.1, 0.2, 0.1, 0.1, float("nan"), 0.1, 0.1):
        patient.saw({GAUGE: spread})
        assert not patient.stop_reason
    patient.saw({GAUGE: 0.1})
    reason = patient.stop_reason
    assert "3 steps in a row" in reason and "below 0.2" in reason
    assert "learning_rate" in reason and "on_collapse = 'warn'" in reason


def test_a_warning_is_said_once_and_kept() -> None:
    patient = watch(on_collapse="warn", collapse_steps=2)
    patient.saw({GAUGE: 0.01})
    with pytest.warns(CollapseWarning, match=r"2 steps in a row.*now 0\.010") as said:
        for spread in (0.01, 0.01, 0.9, 0.01, 0.01, 0.01):
            patient.saw({GAUGE: spread})
    assert len(said) == 1
    assert patient.warned == str(said[0].message)
    assert patient.stop_reason == ""


def test_counts_and_what_was_said_outlive_a_checkpoint() -> None:
    first = watch(on_collapse="warn", collapse_steps=2)
    first.saw({GAUGE: 0.01})
    second = watch(on_collapse="warn", collapse_steps=2)
    second.restore(first.numbers())
    with pytest.warns(CollapseWarning):
        second.saw({GAUGE: 0.01})
    third = watch(on_collapse="warn", collapse_steps=2)
    third.restore(second.numbers())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        third.saw({GAUGE: 0.01})
    assert third.warned == second.warned


def test_without_the_gauge_or_with_a_threshold_of_0_nothing_is_watched() -> None:
    patient, off = watch(on_collapse="stop"), watch(on_collapse="stop", collapse_threshold=0)
    for _ in range(5):
        patient.saw({"alignment": 1.0})
        off.saw({GAUGE: 0.0})
    assert not patient.stop_reason and not off.stop_reason


@pytest.mark.parametrize(
    ("every", "epochs", "expected"),
    [
        (None, 8, [2, 4, 6, 8]),
        (None, 7, [2, 4, 6, 7]),
        (None, 3, [1, 2, 3]),
        (3, 7, [3, 6, 7]),
        (0, 7, []),
        (100, 7, [7]),
    ],
)
def test_measurements_are_spread_over_the_run(
    every: int | None, epochs: int, expected: list[int]
) -> None:
    assert [epoch for epoch in range(1, epochs + 1) if due(every, 4, epoch, epochs)] == expected
