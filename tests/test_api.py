from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ssl_registry import ConfigError, DataError, DeviceError, evaluate, finetune, pretrain
from ssl_registry.config.load import apply_overrides
from ssl_registry.config.pretrain import PretrainConfig


def test_pretrain_takes_a_config_or_a_table(pretrain_table: dict[str, Any], tmp_path: Path) -> None:
    table = apply_overrides(pretrain_table, ["training.max_steps=2"])
    from_table = pretrain(table, str(tmp_path / "a"))
    from_config = pretrain(PretrainConfig.model_validate(table), tmp_path / "b")
    a, b = (
        (run / "weights" / "model.safetensors").read_bytes() for run in (from_table, from_config)
    )
    assert a == b
    ids = {json.loads((run / "config.json").read_text())["id"] for run in (from_table, from_config)}
    assert len(ids) == 1


def test_the_default_folder_bears_the_id(
    pretrain_table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = pretrain(apply_overrides(pretrain_table, ["training.max_steps=1"]))
    identity = json.loads((run / "config.json").read_text())["id"]
    assert run == Path("runs") / f"pretrain-{identity}"


def test_a_mistake_in_a_table_is_one_clear_error(pretrain_table: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"the config: training.*rat: .*'learning_rate'"):
        pretrain(apply_overrides(pretrain_table, ["training.optimizer.learning_rat=1"]))
    with pytest.raises(ConfigError, match=r"the config has \d mistakes:\n  decoder: is missing"):
        finetune(pretrain_table)


def test_evaluate_reproduces_the_run(finetuned: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(finetuned, copy)
    (copy / "metrics.csv").unlink()
    before = json.loads((finetuned / "summary.json").read_text())
    values = evaluate(copy, device="cpu")
    assert {name: None if value != value else value for name, value in values.items()} == before[
        "test"
    ]
    assert (copy / "metrics.csv").read_bytes() == (finetuned / "metrics.csv").read_bytes()
    assert json.loads((copy / "summary.json").read_text()) == before


def change(config: Path, value: Any, *keys: Any) -> None:
    """Put another value into a run's `config.json`."""
    record = json.loads(config.read_text())
    table = record
    for key in keys[:-1]:
        table = table[key]
    table[keys[-1]] = value
    config.write_text(json.dumps(record))


def test_evaluate_takes_the_device_it_is_given_and_not_the_run_s(
    finetuned: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(finetuned, copy)
    change(copy / "config.json", "cuda:77", "config", "training", "device")
    assert evaluate(copy, device="cpu")
    assert evaluate(copy)
    with pytest.raises(DeviceError, match="abacus"):
        evaluate(copy, device="abacus")


def test_evaluate_refuses_data_that_changed_since_the_training(
    finetuned: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(finetuned, copy)
    data = tmp_path / "data"
    shutil.copytree(json.loads((copy / "config.json").read_text())["config"]["data"]["root"], data)
    change(copy / "config.json", str(data), "config", "data", "root")
    assert evaluate(copy, device="cpu")
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    image = data / "benign" / "benign (1).png"
    shutil.copyfile(data / "benign" / "benign (2).png", image)
    shutil.copyfile(data / "benign" / "benign (2)_mask.png", image.with_stem("benign (1)_mask"))
    with pytest.raises(DataError, match=r"not those it was trained on \(pixels differ\)"):
        evaluate(copy)
    for path in (image, image.with_stem("benign (1)_mask")):
        path.unlink()
    with pytest.raises(DataError, match=r"\(split and pixels differ\).*restore the dataset 'busi'"):
        evaluate(copy)
    assert {path: path.read_bytes() for path in before} == before


def test_finetuning_starts_from_the_weights_it_is_given(
    pretrain_table: dict[str, Any], finetune_table: dict[str, Any], tmp_path: Path
) -> None:
    source = pretrain(apply_overrides(pretrain_table, ["training.max_steps=3"]), tmp_path / "pre")
    one_step = ["training.max_steps=1", "training.optimizer.learning_rate=1e-12"]
    table = apply_overrides(finetune_table, [*one_step, f"weights={source / 'weights'}"])
    run = finetune(table, tmp_path / "fine")
    from safetensors.torch import load_file

    encoder = load_file(source / "weights" / "model.safetensors")
    network = load_file(run / "weights" / "model.safetensors")
    trained = [name for name in encoder if name.endswith(".weight")]
    assert trained
    for name in trained:
        assert (network[f"backbone.{name}"] - encoder[name]).abs().max() < 1e-6
    record = json.loads((run / "config.json").read_text())
    card = json.loads((source / "weights" / "ssl_registry.json").read_text())
    assert record["initial_weights"] == card["sha256"]
    fine = json.loads((run / "weights" / "ssl_registry.json").read_text())
    stated = {"licence": card["licence"], "digest": card["digest"]}
    assert fine["run"]["pretraining"] == card["run"] | stated
