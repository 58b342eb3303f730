"""Mistakes in a run's config end before anything is trained, each with its message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ssl_registry import api, evaluate
from ssl_registry.config.load import apply_overrides
from ssl_registry.errors import ConfigError, DataError, DeviceError, RunError, UserError

CASES: list[tuple[str, str, type[UserError], str]] = [
    ("pretrain", "training.batch_size=29", DataError, "batch of 29 .* set of 28 images"),
    ("finetune", "training.batch_size=29", DataError, "batch of 29 .* set of 28 images"),
    ("pretrain", "backbone=resnet18 image_size=16", ConfigError, "16 .*'resnet18'.* 32 px"),
    ("finetune", "backbone=resnet18 image_size=16", ConfigError, "16 .*'resnet18'.* 32 px"),
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
    (tmp_path / "config.json").write_text('{"kind": "finetune", "config": {}}')
    with pytest.raises(RunError, match="not finished"):
        evaluate(tmp_path)
