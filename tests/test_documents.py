"""The code blocks of the README and the docs run as they stand."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import ssl_registry as sr
from ssl_registry.config.experiment import PretrainConfig

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return [code for found, code in BLOCK.findall(text) if found == language]


def run_blocks(document: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "document"}
    for code in blocks(document, "python"):
        exec(compile(code, document, "exec", dont_inherit=True), names)
    return names


def test_the_code_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_blocks("README.md")
    assert torch.isfinite(names["output"].loss)
    assert (tmp_path / "runs/from-code/report.html").is_file()
    assert names["model"].num_features == 512


def test_the_experiment_of_the_readme_is_valid() -> None:
    text = blocks("README.md", "toml")[0]
    config = PretrainConfig.model_validate(tomllib.loads(text))
    assert config.method.name == "simclr"
    assert config.training.batch_size == 256


def test_the_method_of_the_plugin_page_learns() -> None:
    names = run_blocks("docs/plugins.md")
    torch.manual_seed(0)
    trunk = sr.Trunk(sr.create("backbone", "unet_encoder", in_channels=1, widths=(4, 8)))
    context = sr.MethodContext(num_images=8, total_steps=1, batch_size=8, image_size=16, channels=1)
    method = names["Rotation"](trunk, names["RotationConfig"](), context)
    views = sr.Views(images=(torch.rand(8, 1, 16, 16),))
    output = method(sr.PretrainBatch(views, sample_id=torch.arange(8)))
    assert output.loss.item() == pytest.approx(np.log(4), abs=1.0)
    output.loss.backward()
    assert all(p.grad is not None for p in method.parameters() if p.requires_grad)


def test_the_dataset_of_the_plugin_page_reads(tmp_path: Path) -> None:
    names = run_blocks("docs/plugins.md")
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        Image.new("L", (20, 10), 200).save(tmp_path / folder / "a.png")
    dataset = names["Thyroid"](names["ThyroidConfig"](root=tmp_path))
    (sample,) = dataset.samples()
    assert dataset.read_image(sample).shape == (10, 20)
    assert dataset.read_mask(sample).min() == 1
    empty = names["Thyroid"](names["ThyroidConfig"](root=tmp_path / "none"))
    with pytest.raises(sr.DatasetNotFoundError):
        empty.samples()
