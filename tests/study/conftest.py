"""A small study, and what workers call in place of runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ssl_registry.study.source import Source, read_study

STUDY = """
title = "A small study"
[pretrain]
channels = 1
backbone = { name = "unet_encoder", widths = [4, 8, 16] }
data = [{ name = "phantom", images_per_organ = 30, seed = 1 }]
training = { steps = 4, batch_size = 16, device = "cpu" }
[finetune]
channels = 1
backbone = { name = "unet_encoder", widths = [4, 8, 16] }
decoder = { name = "unet", widths = [8, 4] }
data = { name = "phantom", organs = ["breast"], images_per_organ = 60 }
training = { steps = 6, batch_size = 8, device = "cpu" }
[axes]
fraction = [1.0, 0.5]
seed = [0, 1, 2]
image_size = [32]
[axes.method.supervised]
pretraining = false
[axes.method.moco]
pretrain.method = "moco"
[axes.method.simclr]
pretrain.method = "simclr"
"""

Reader = Callable[..., Source]


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    """The file of a study of two pre-trainings and eighteen fine-tunings."""
    path = tmp_path / "small.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture
def small(study_file: Path) -> Reader:
    """Reads that study with overrides."""
    return lambda *overrides: read_study(str(study_file), list(overrides))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers import `study_calls`."""
    here = str(Path(__file__).parent)
    path = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", f"{here}{os.pathsep}{path}" if path else here)
