"""Augmentation inside a pre-training run: channels that do not match, and what the method sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ssl_registry import PretrainConfig, StepOutput
from ssl_registry.data.pool import load_pool
from ssl_registry.interfaces.training import Trainable
from ssl_registry.training.device import choose_execution
from ssl_registry.training.pretrain import PretrainJob, build_job, build_trunk

PRESETS = [
    f"{m}-{kind}" for m in ("simclr", "moco", "simsiam") for kind in ("paper", "recommended")
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of twelve gray and of twelve coloured pictures."""
    folders = {}
    generator = np.random.default_rng(0)
    for name, shape in (("gray", (24, 20)), ("colour", (24, 20, 3))):
        folders[name] = tmp_path_factory.mktemp(name)
        for number in range(12):
            pixels = generator.integers(0, 256, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(folders[name] / f"{number:02}.png")
    return folders


def job_of(folder: Path, **settings: Any) -> PretrainJob:
    table = {
        "image_size": 16,
        "backbone": {"name": "unet_encoder", "widths": [2, 4, 8]},
        "data": [{"name": "image_folder", "root": str(folder), "split": {"ratios": [1, 0, 0]}}],
        "training": {"batch_size": 8, "device": "cpu", "threads": 1},
        "monitoring": {"validation_epochs": 0, "rank_epochs": 0},
        **settings,
    }
    config = PretrainConfig.model_validate(table)
    pool = load_pool(config.data, config.parts, size=config.stored_size, channels=config.channels)
    return build_job(config, build_trunk(config), pool, 2, choose_execution(config.training))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["gray", "colour"])
@pytest.mark.parametrize("preset", PRESETS)
def test_presets_go_with_either_number_of_channels(
    preset: str, kind: str, channels: int, pictures: dict[str, Path]
) -> None:
    method = {"projection_dim": 8, "hidden_dim": 8}
    if preset.startswith("moco"):
        method["bn_splits"] = 4
    job = job_of(pictures[kind], preset=preset, channels=channels, method=method)
    output = job.step(np.arange(8))
    output.loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(output.loss)
    first = next(p for p in job.module.parameters() if p.ndim == 4)
    assert first.shape[1] == channels and first.grad is not None


class Recorder(Trainable):
    """Keeps the views it is given."""

    def forward(self, batch: Any) -> StepOutput:
        self.views = torch.stack(batch.views.images)
        return StepOutput(torch.zeros(()))


@pytest.mark.parametrize(("mean", "std"), [([0.5], [0.25]), ([0.2, 0.5, 0.7], [0.1, 0.2, 0.4])])
@pytest.mark.parametrize("kind", ["gray", "colour"])
def test_views_are_in_range_and_normalised_last_and_once(
    mean: list[float], std: list[float], kind: str, pictures: dict[str, Path]
) -> None:
    def seen(**normalization: list[float]) -> Tensor:
        job = job_of(pictures[kind], preset="simclr-paper", normalization=normalization)
        recorder = Recorder()
        job.forward_by(recorder)
        torch.manual_seed(3)
        job.step(np.arange(8))
        return recorder.views

    plain = seen(mean=[0.0], std=[1.0])
    # In [0, 1], and not a second time divided by 255.
    assert plain.min() >= 0 and 0.9 < plain.max() <= 1
    shift, scale = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
    torch.testing.assert_close(seen(mean=mean, std=std), (plain - shift) / scale)
