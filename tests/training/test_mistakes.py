"""Mistakes in a run's config end before anything is trained, each with its message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssl_registry import api, evaluate
from ssl_registry.config.load import apply_overrides, validate
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.data.load import load_data
from ssl_registry.errors import ConfigError, DataError, DeviceError, RunError, UserError
from ssl_registry.training.pretrain import PretrainJob

CASES: list[tuple[str, str, type[UserError], str]] = [
    ("pretrain", "training.batch_size=29", DataError, "batch of 29 .* set of 28 images"),
    ("finetune", "training.batch_size=29", DataError, "batch of 29 .* set of 28 images"),
    ("pretrain", "backbone=resnet18 image_size=16", ConfigError, "16 .*'resnet18'.* 32 px"),
    ("finetune", "backbone=resnet18 image_size=16", ConfigError, "16 .*'resnet18'.* 32 px"),
    ("pretrain", "training.batch_size=1", ConfigError, "batch_size of at least 2"),
    ("pretrain", "method=moco training.batch_size=7", ConfigError, "7"),
    ("pretrain", "training.device=cuda:77", DeviceError, "cuda:77"),
    ("finetune", "training.device=abacus", DeviceError, "abacus"),
    ("finetune", "data.split.ratios=[8,2,0]", DataError, "no test images with masks"),
]


@pytest.mark.parametrize(("kind", "overrides", "error", "message"), CASES)
def test_mistakes(
    kind: str,
    overrides: str,
    error: type[UserError],
    message: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    table: dict[str, Any] = request.getfixturevalue(f"{kind}_table")
    if "resnet" in overrides:
        del table["backbone"]
        table.get("decoder", {}).pop("widths", None)
    table = apply_overrides(table, overrides.split())
    start: Callable[..., Path] = getattr(api, kind)
    with pytest.raises(error, match=message):
        start(table, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_mistake_in_the_first_step_leaves_no_folder(
    pretrain_table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(*_: object) -> None:
        raise ConfigError("one view is too few")

    table = apply_overrides(pretrain_table, ["training.max_steps=1"])
    with monkeypatch.context() as patch, pytest.raises(ConfigError, match="one view"):
        patch.setattr(PretrainJob, "step", step)
        api.pretrain(table, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    mended = apply_overrides(table, ["seed=1"])
    assert (api.pretrain(mended, tmp_path / "run") / "summary.json").exists()


@pytest.mark.parametrize("datasets", [1, 2])
def test_the_split_in_the_run_folder_can_be_read_back(
    pretrain_table: dict[str, Any], tmp_path: Path, datasets: int
) -> None:
    table = apply_overrides(pretrain_table, ["training.max_steps=1"])
    first = table["data"][0]
    table["data"] = [{**first, "split": {"seed": seed}} for seed in range(datasets)]
    config = validate(PretrainConfig, table, "test")
    run = api.pretrain(table, tmp_path / "run")
    names = ["split.csv"] if datasets == 1 else ["split-0.csv", "split-1.csv"]
    assert sorted(path.name for path in run.glob("*.csv")) == names
    again = {
        **table,
        "data": [{**first, "split": {"kind": "file", "file": run / n}} for n in names],
    }
    for old, new in zip(config.data, validate(PretrainConfig, again, "test").data, strict=True):
        loaded = [load_data(d, size=40, channels=1, masks=False).parts for d in (old, new)]
        assert loaded[0] == loaded[1]
        assert len(loaded[0]) == 40


def test_a_run_is_not_done_twice_and_its_folder_not_taken(
    pretrain_table: dict[str, Any], tmp_path: Path
) -> None:
    table = apply_overrides(pretrain_table, ["training.max_steps=1"])
    run = api.pretrain(table, tmp_path / "run")
    files = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    with pytest.raises(RunError, match="this very run"):
        api.pretrain(table, run)
    for other in ("training.precision=bf16", "seed=1", "training.optimizer.learning_rate=0.1"):
        with pytest.raises(RunError, match="another run"):
            api.pretrain(apply_overrides(table, [other]), run, resume=True)
    # Finished already, and the same run on other threads.
    assert api.pretrain(table, run, resume=True) == run
    again = apply_overrides(table, ["training.checkpoint_seconds=5"])
    assert api.pretrain(again, run, resume=True) == run
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == files
    with pytest.raises(RunError, match="only fine-tuning runs"):
        evaluate(run)


def test_evaluate_wants_a_finished_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no config\.json"):
        evaluate(tmp_path)
    for other in ('{"architecture": "resnet18"}', "[]", '{"kind": "finetune", "config": {}}'):
        (tmp_path / "config.json").write_text(other)
        with pytest.raises(RunError, match="holds no run"):
            evaluate(tmp_path)
    record = '{"id": "0", "kind": "finetune", "config": {}, "data": []}'
    (tmp_path / "config.json").write_text(record)
    with pytest.raises(RunError, match="not finished"):
        evaluate(tmp_path)
