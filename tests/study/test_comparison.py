from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssl_registry.config.comparison import ComparisonConfig
from ssl_registry.config.load import apply_overrides
from ssl_registry.errors import ConfigError
from ssl_registry.evaluation.table import read_table
from ssl_registry.report.comparison_report import ComparisonReport
from ssl_registry.study import comparison


def test_two_arms_of_two_seeds_are_done_once(
    pretrain_table: dict[str, Any],
    finetune_table: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reports: list[ComparisonReport] = []
    write = comparison.write_comparison_report

    def noted(path: Path, report: ComparisonReport) -> None:
        reports.append(report)
        write(path, report)

    monkeypatch.setattr(comparison, "write_comparison_report", noted)
    config = ComparisonConfig(
        title="A tiny study",
        pretrain=apply_overrides(pretrain_table, ["training.max_steps=4"]),
        finetune=apply_overrides(finetune_table, ["training.epochs=3", "fraction=0.5"]),
        seeds=(3, 5),
    )
    path = comparison.run_comparison(config, tmp_path / "study")
    said = capsys.readouterr().out
    assert path == tmp_path / "study" / "report.html"
    runs = sorted(folder.name for folder in (tmp_path / "study").iterdir() if folder.is_dir())
    assert runs == [
        "from-scratch-seed-3",
        "from-scratch-seed-5",
        "pre-trained-seed-3",
        "pre-trained-seed-5",
        "pretraining",
    ]
    first = reports[0]
    for arm, folder in (("from scratch", "from-scratch"), ("pre-trained", "pre-trained")):
        for values, seed in zip(first.arms[arm], config.seeds, strict=True):
            table = read_table(tmp_path / "study" / f"{folder}-seed-{seed}" / "metrics.csv")
            rows = table[(table["size"] == "training") & ~table["empty_truth"]]
            assert values["dice/lesion"] == pytest.approx(rows["dice"].mean())

    sources = {
        name: json.loads((tmp_path / "study" / name / "config.json").read_text())["initial_weights"]
        for name in runs[:4]
    }
    card = json.loads((tmp_path / "study/pretraining/weights/ssl_registry.json").read_text())
    assert [bool(sources[name]) for name in runs[:4]] == [False, False, True, True]
    assert sources["pre-trained-seed-3"] == card["sha256"]

    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "study").glob("*/**/*")}
    comparison.run_comparison(config, tmp_path / "study")
    assert {file: file.stat().st_mtime_ns for file in files} == files
    assert capsys.readouterr().out == said
    again = reports[1]
    for arm, of_seeds in first.arms.items():
        for values, later in zip(of_seeds, again.arms[arm], strict=True):
            assert values.keys() == later.keys()
            assert all(
                later[k] == v or (math.isnan(v) and math.isnan(later[k])) for k, v in values.items()
            )
    assert [item.id for item in again.gallery] == [item.id for item in first.gallery]
    for item, later_item in zip(first.gallery, again.gallery, strict=True):
        assert set(item.predictions) == {"from scratch", "pre-trained"}
        for arm, mask in item.predictions.items():
            assert np.array_equal(mask, later_item.predictions[arm])
    assert first.summary["labelled images"] == 14
    assert first.summary["pre-training steps"] == 4


@pytest.mark.parametrize("key", ["weights", "scope", "seed"])
def test_what_the_comparison_decides_is_refused(
    pretrain_table: dict[str, Any], finetune_table: dict[str, Any], tmp_path: Path, key: str
) -> None:
    value = {"weights": "somewhere", "scope": "encoder", "seed": 0}[key]
    config = ComparisonConfig(
        title="A tiny study", pretrain=pretrain_table, finetune={**finetune_table, key: value}
    )
    with pytest.raises(ConfigError, match=rf"finetune\.{key} "):
        comparison.run_comparison(config, tmp_path / "study")
    assert not (tmp_path / "study").exists()
