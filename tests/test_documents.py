"""The code blocks of the README and the docs run as they stand."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import ssl_registry as sr
from ssl_registry.cli.runner import runner
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.pretrain import PretrainConfig

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return [code for found, code in BLOCK.findall(text) if found == language]


def readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


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


def test_the_configs_of_the_readme_are_valid() -> None:
    pretrain, finetune = (tomllib.loads(text) for text in blocks("README.md", "toml")[:2])
    config = PretrainConfig.model_validate(pretrain)
    assert config.method.name == "simclr"
    assert config.training.batch_size == 256
    assert FinetuneConfig.model_validate(finetune).decoder.name == "unet"


def test_the_mistake_of_the_readme_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = re.search(r"^\$ ssl-registry (.*)\n(error: .*)$", readme(), re.MULTILINE)
    assert shown
    monkeypatch.chdir(tmp_path)
    Path("pretrain.toml").write_text(blocks("README.md", "toml")[0], encoding="utf-8")
    result = CliRunner().invoke(runner, shown[1].split())
    assert (result.exit_code, result.stderr) == (2, shown[2] + "\n")


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
def test_links_to_files_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


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
