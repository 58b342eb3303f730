"""Runs that differ in a path alone, which an axis chooses, are different runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ssl_registry.study.expand import plan_study
from ssl_registry.study.plan import Plan
from ssl_registry.study.source import read_study

STUDY = """
title = "Folders"
[pretrain]
backbone = "resnet18"
method = "simclr"
[finetune]
backbone = "resnet18"
decoder = "unet"
data = { name = "busi", root = "busi" }
[axes.pretraining_data.liver]
pretrain.data = [{ name = "image_folder", root = "liver" }, "phantom"]
[axes.pretraining_data.kidney]
pretrain.data = [{ name = "image_folder", root = "kidney" }, "phantom"]
"""
FOLDS = """
[axes.split.fold-0]
data.busi.split = { kind = "file", file = "0.csv" }
[axes.split.fold-1]
data.busi.split = { kind = "file", file = "1.csv" }
"""


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Plans a study of that text; files of splits lie in the current folder."""
    monkeypatch.chdir(tmp_path)
    for fold in range(2):
        (tmp_path / f"{fold}.csv").write_text(f"id,split\na,train\nb{fold},test\n")

    def plan(text: str, *overrides: str) -> Plan:
        (tmp_path / "study.toml").write_text(text)
        return plan_study(read_study("study.toml", list(overrides)))

    return plan


def ids(plan: Plan) -> dict[tuple[Any, ...], str]:
    return {tuple(row.axes.values()): row.run for row in plan.rows}


def test_folders_on_an_axis_are_other_runs(planned: Any) -> None:
    plan = planned(STUDY)
    assert (plan.count("pretrain"), plan.count("finetune"), len(plan.rows)) == (2, 2, 2)
    roots = [run.config["data"][0]["root"] for run in plan.runs.values() if run.kind == "pretrain"]
    assert roots == ["liver", "kidney"]
    # What one of them is does not depend on the other's being there.
    alone = planned(STUDY, 'without.pretraining_data=["liver"]')
    assert ids(alone).items() <= ids(plan).items()


def test_files_of_a_split_count_by_their_content(planned: Any, tmp_path: Path) -> None:
    plan = planned(STUDY + FOLDS)
    assert (plan.count("pretrain"), plan.count("finetune"), len(plan.rows)) == (2, 4, 4)
    (tmp_path / "moved.csv").write_text((tmp_path / "1.csv").read_text())
    assert ids(planned(STUDY + FOLDS.replace("1.csv", "moved.csv"))) == ids(plan)
    (tmp_path / "1.csv").write_text("id,split\na,test\nb1,train\n")
    changed = ids(planned(STUDY + FOLDS))
    assert sum(changed[row] != run for row, run in ids(plan).items()) == 2


def test_paths_that_no_axis_chooses_leave_ids_as_they_are(planned: Any) -> None:
    plan = planned(STUDY)
    moved = planned(STUDY.replace('root = "busi"', 'root = "/images/busi"'))
    assert ids(moved) == ids(plan)
    assert ids(planned(STUDY.replace('root = "liver"', 'root = "/images/liver"'))) != ids(plan)


def test_a_place_that_an_axis_sets_for_one_dataset(planned: Any) -> None:
    text = STUDY + '[axes.other.home.a]\ndata.busi.root = "a"\n[axes.other.home.b]\n'
    plan = planned(text + 'data.busi.root = "b"\n', "axes.pretraining_data.kidney=")
    assert (plan.count("pretrain"), plan.count("finetune")) == (1, 2)
