"""Every kind of bad input through the runner: status 2, a short message, nothing half-written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from ssl_registry.cli.runner import runner

FINETUNE = """
image_size = 32
channels = 1
backbone = {{ name = "unet_encoder", widths = [4, 8, 16] }}
decoder = {{ name = "unet", widths = [8, 4] }}
data = {{ name = "busi", root = "{root}" }}
training = {{ epochs = 1, batch_size = 8, device = "cpu", threads = 1 }}
"""


@pytest.fixture
def root(tiny_busi: Path, tmp_path: Path) -> Path:
    """A copy of the tiny release that a test may spoil."""
    return Path(shutil.copytree(tiny_busi, tmp_path / "busi"))


@pytest.fixture
def finetune(root: Path, tmp_path: Path) -> Callable[..., Result]:
    """Run the fine-tuning of the tiny release with overrides, into `tmp_path/run`."""
    file = tmp_path / "finetune.toml"
    file.write_text(FINETUNE.format(root=root), encoding="utf-8")

    def run(*overrides: str, out: Path | None = None) -> Result:
        words = [word for override in overrides for word in ("--set", override)]
        target = str(out or tmp_path / "run")
        return CliRunner().invoke(runner, ["finetune", str(file), *words, "--out", target])

    return run


def refused(result: Result, *parts: str) -> None:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    message = result.stderr[result.stderr.index("error:") :]
    for part in parts:
        assert part in message
    assert len(message.strip().splitlines()) <= 4


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("backbone.name=unet_encodr", ("unet_encodr", "did you mean 'unet_encoder'?")),
        ("training.epoch=1", ("training.epoch", "did you mean 'epochs'?")),
        ("training.epochs=many", ("training.epochs", "'many'")),
        ("fraction=1.5", ("fraction", "1.5")),
        ("data.root=/nowhere/busi", ("/nowhere/busi",)),
        ("training.batch_size=500", ("batch of 500", "28 images")),
        ("image_size=8", ("image_size", "8")),
        ("training.device=cuda:9", ("cuda:9", "cpu")),
        ("weights=/nowhere/weights", ("/nowhere/weights", "no folder of weights")),
    ],
)
def test_a_setting_that_cannot_work(
    finetune: Callable[..., Result], tmp_path: Path, override: str, parts: tuple[str, ...]
) -> None:
    extra = ["backbone.widths=[4, 8, 16, 32, 64]"] if override == "image_size=8" else []
    refused(finetune(override, *extra), *parts)
    assert not (tmp_path / "run").exists()


def test_an_empty_folder(finetune: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(finetune(f"data.root={tmp_path / 'empty'}"), str(tmp_path / "empty"))


def test_a_truncated_image_is_named_and_may_be_skipped(
    finetune: Callable[..., Result], root: Path, tmp_path: Path, private_cache: Path
) -> None:
    file = root / "benign" / "benign (5).png"
    file.write_bytes(file.read_bytes()[:200])
    refused(finetune(), "benign (5).png", "skip_unreadable")
    assert not (tmp_path / "run").exists()
    assert not private_cache.exists() or not any(private_cache.iterdir())
    assert finetune("data.skip_unreadable=true").exit_code == 0
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert "benign (5).png" in record["data"][0]["unreadable"][0]
    assert "benign (5).png" in (tmp_path / "run" / "report.html").read_text()


def test_a_mask_of_another_size(finetune: Callable[..., Result], root: Path) -> None:
    Image.fromarray(np.zeros((7, 9), np.uint8)).save(root / "benign" / "benign (3)_mask.png")
    refused(finetune(), "benign (3)", "9x7")


def test_a_place_that_cannot_be_written(finetune: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(finetune(out=tmp_path / "file" / "run"), str(tmp_path / "file"))


def test_a_run_folder_already_used(finetune: Callable[..., Result], tmp_path: Path) -> None:
    assert finetune().exit_code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    refused(finetune(), "already used", "--resume")
    refused(finetune("seed=1"), "already used", "another")
    after = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert after == before


def test_weights_of_another_network_and_a_text_file_as_weights(
    finetune: Callable[..., Result], tmp_path: Path
) -> None:
    assert finetune(out=tmp_path / "first").exit_code == 0
    weights = tmp_path / "first" / "weights"
    widths = "backbone.widths=[4, 8, 32]"
    refused(
        finetune(f"weights={weights}", widths), str(weights), "mismatched", "Nothing was loaded"
    )
    (weights / "model.safetensors").write_text("these are no weights")
    refused(finetune(f"weights={weights}"), "model.safetensors")
    assert not (tmp_path / "run").exists()
