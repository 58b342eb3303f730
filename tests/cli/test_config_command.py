"""`config show`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ssl_registry.cli.config import detect
from ssl_registry.cli.runner import runner

PRETRAIN = """
seed = 3
[method]
name = "simclr"
temperature = 0.5
[backbone]
name = "resnet18"
[[data]]
name = "busi"
root = "../shared/data/busi"
"""
FINETUNE = """
backbone = "resnet18"
decoder = "unet"
[data]
name = "busi"
root = "elsewhere"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.toml"


def show(file: Path, *words: str) -> Result:
    return CliRunner().invoke(runner, ["config", "show", str(file), *words])


def test_resolved_json_has_all_defaults_and_overrides(file: Path) -> None:
    file.write_text(PRETRAIN)
    result = show(file, "--set", "method.temperature=0.1", "--set", "training.epochs=7")
    assert result.exit_code == 0, result.stderr
    resolved = json.loads(result.stdout)
    assert resolved["method"]["temperature"] == 0.1
    assert resolved["method"]["name"] == "simclr"
    assert resolved["training"]["epochs"] == 7
    assert resolved["training"]["batch_size"] == 256
    assert resolved["data"][0]["root"] == "../shared/data/busi"
    assert resolved["data"][0]["split"]["seed"] == 42


def test_what_is_shown_can_be_read_back(file: Path) -> None:
    file.write_text(PRETRAIN)
    first = json.loads(show(file).stdout)
    file.write_text("")
    given = [f"{key}={_toml(value)}" for key, value in first.items() if value is not None]
    words = [word for override in given for word in ("--set", override)]
    assert json.loads(show(file, *words).stdout) == first


def _toml(value: object) -> str:
    """A JSON value as inline TOML, without nulls."""
    if isinstance(value, dict):
        inside = ", ".join(f"{k} = {_toml(v)}" for k, v in value.items() if v is not None)
        return f"{{ {inside} }}"
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(value)


@pytest.mark.parametrize(("text", "key"), [(PRETRAIN, "method"), (FINETUNE, "task")])
def test_the_kind_is_seen_from_the_keys(file: Path, text: str, key: str) -> None:
    file.write_text(text)
    assert key in json.loads(show(file).stdout)


def test_detect() -> None:
    assert detect({"pretrain": {}, "title": ""}) == "comparison"
    assert detect({"finetune": {}}) == "comparison"
    assert detect({"method": "m", "data": "d"}) == "pretrain"
    assert detect({"data": ["d"]}) == "pretrain"
    assert detect({"data": {"name": "d"}}) == "finetune"
    assert detect({}) == "finetune"


def test_the_kind_can_be_given(file: Path) -> None:
    file.write_text(FINETUNE)
    result = show(file, "--kind", "pretrain")
    assert result.exit_code == 2
    assert "method: is missing" in result.stderr
    assert show(file, "--kind", "study").exit_code == 2


def test_mistakes_one_line_each(file: Path) -> None:
    file.write_text(PRETRAIN.replace("temperature", "temprature").replace("seed", "sed"))
    result = show(file)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"error: {file} has 2 mistakes:",
        "  method.temprature: unknown key (did you mean 'temperature'?)",
        "  sed: unknown key (did you mean 'seed'?)",
    ]


def test_file_mistakes(file: Path) -> None:
    assert "No such file" in show(file).stderr
    file.write_text("seed = = 1")
    result = show(file)
    assert result.exit_code == 2
    assert "is not valid TOML" in result.stderr
    file.write_text(PRETRAIN)
    result = show(file, "--set", "seed")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
