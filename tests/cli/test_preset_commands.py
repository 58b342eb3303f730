"""Presets on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ssl_registry.cli.config import detect
from ssl_registry.cli.runner import runner
from ssl_registry.registry import resource


def invoke(*words: str | Path) -> Result:
    return CliRunner().invoke(runner, [str(word) for word in words])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text('preset = ["simclr-paper", "paper-busi"]\nbackbone = "resnet18"\n')
    return path


def test_config_show_prints_what_comes_out(file: Path) -> None:
    words = ["--set", "data.0.root=/images", "--set", "training.epochs=3"]
    result = invoke("config", "show", file, *words)
    assert result.exit_code == 0, result.stderr
    shown = json.loads(result.stdout)
    assert "preset" not in shown
    assert shown["training"]["epochs"] == 3
    assert shown["training"]["optimizer"]["learning_rate"] == 3e-4
    assert shown["data"][0]["root"] == "/images"
    assert shown["data"][0]["split"]["kind"] == "stratified"
    over = invoke("config", "show", file, "--set", 'preset=["moco-paper-64", "paper-busi"]')
    assert json.loads(over.stdout)["method"]["name"] == "moco"


def test_mistakes_name_file_key_and_preset(file: Path) -> None:
    result = invoke("config", "show", file, "--set", "preset=simclr-papers")
    assert result.exit_code == 2
    assert f"error: {file}: preset: no preset is called 'simclr-papers'" in result.stderr
    assert "(did you mean 'simclr-paper'?)" in result.stderr
    result = invoke("config", "show", file, "--set", "backbone=unet_encoder", "--set", "parts.0=x")
    assert result.exit_code == 2 and "parts: must be a list" in result.stderr
    result = invoke("config", "show", file, "--kind", "finetune")
    assert result.exit_code == 2
    assert "'simclr-paper' is for another kind of config" in result.stderr


def test_the_kind_is_seen_from_the_presets() -> None:
    assert detect({"preset": "simclr-paper", "backbone": "resnet18"}) == "pretrain"
    assert detect({"preset": ["paper-finetune"], "backbone": "resnet18"}) == "finetune"
    assert detect({"preset": ["paper-busi", "paper-finetune"]}) == "finetune"
    # This one is for both: the keys decide.
    assert detect({"preset": "paper-busi", "method": "simclr"}) == "pretrain"
    assert detect({"preset": "paper-busi", "decoder": "unet"}) == "finetune"
    assert detect({"pretrain": {"preset": "simclr-paper"}, "finetune": {}}) == "comparison"


def test_components_show_prints_the_file_with_its_reasons() -> None:
    result = invoke("components", "show", "preset", "simclr-paper")
    assert result.stdout.endswith(resource("preset", "simclr-paper").rstrip() + "\n")
    assert "# the study, at 32 px" in result.stdout
    listed = invoke("components", "preset").stdout
    assert "moco-recommended" in listed and "paper-multi-organ" in listed
