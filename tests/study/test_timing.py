"""Time left and time estimated, against sums worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ssl_registry.study.estimate import Estimate
from ssl_registry.study.expand import plan_study
from ssl_registry.study.folder import StudyFolder
from ssl_registry.study.run import learned
from ssl_registry.study.timing import Clock


def test_nothing_is_told_of_a_kind_that_is_not_known(small: Any) -> None:
    runs = list(plan_study(small()).runs.values())
    before = [run for run in runs if run.kind == "pretrain"]
    after = [run for run in runs if run.kind == "finetune"]
    clock = Clock()
    assert clock.left(runs, 2) is None
    clock.learn(before[0], 3600.0, 4)
    assert clock.left(before, 1) == 7200.0
    assert clock.left(runs, 2) is None  # an hour of pre-training is none of fine-tuning
    clock.learn(after[0], 60.0, 6)
    assert clock.left([before[1], *after], 2) == (3600.0 + 18 * 60.0) / 2
    assert clock.left([], 2) == 0.0


def test_a_study_takes_at_least_its_longest_chain() -> None:
    counts, seconds = {"pretrain": 1, "finetune": 10}, {"pretrain": 36000.0, "finetune": 3600.0}
    alone = Estimate(counts, seconds, workers=4, longest=36360.0, bytes=0, free=1)
    assert alone.elapsed == 36360.0
    many = Estimate(counts, seconds, workers=1, longest=36360.0, bytes=0, free=1)
    assert many.elapsed == 39600.0


def test_a_run_that_was_gone_on_with_took_all_its_time(
    small: Any, tmp_path: Path, calls: None
) -> None:
    from ssl_registry.study.run import run_study

    folder = StudyFolder(tmp_path / "study")
    few = small("axes.seed=[0]", "axes.fraction=[1.0]")
    run_study(few, folder, call="study_calls:resumed")
    plan = plan_study(few)
    assert {learned(plan, folder).seconds(run) for run in plan.runs.values()} == {1000.0}
